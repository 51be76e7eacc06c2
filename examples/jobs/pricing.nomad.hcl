# Prices: everything that is shown needs one.
variable "shop" {
  description = "Path of the shop binary on the clients."
}
variable "consul" {
  description = "Path of the consul binary on the clients."
}
variable "consul_addr" {}
variable "consul_token" {
  description = "Consul token that may register services and their sidecars."
}
variable "statsd_addr" {
  description = "Where the mesh proxies send their metrics, host:port."
}

job "pricing" {
  group "pricing" {
    count          = 2
    shutdown_delay = "1s" # lets the mesh forget an instance before it goes

    meta {
      tier        = "1"
      oakum_paths = "/item/1,/item/2,/item/3,/item/4"
    }

    ephemeral_disk {
      size = 30 # nothing is written but by a fault
    }

    network {
      port "http" {}
      port "proxy" {}
    }

    service {
      name     = "pricing"
      provider = "consul"
      port     = "http"
      address  = "127.0.0.1"
      tags     = ["metrics"]

      meta {
        oakum_namespace = "default"
        oakum_job       = "pricing"
        oakum_group     = "pricing"
      }

      check {
        name     = "pricing is healthy"
        type     = "http"
        path     = "/health"
        interval = "5s"
        timeout  = "10s" # a busy machine is not an ill service

        failures_before_critical = 2 # nor is one answer that was lost
      }
    }

    update {
      max_parallel      = 1
      health_check      = "checks"
      min_healthy_time  = "2s"
      healthy_deadline  = "60s"
      progress_deadline = "5m"
    }

    restart {
      attempts = 2
      interval = "1m"
      delay    = "1s"
      mode     = "fail"
    }

    reschedule {
      delay          = "5s"
      delay_function = "constant"
      unlimited      = true
    }

    task "server" {
      driver       = "raw_exec"
      kill_timeout = "4s"

      config {
        command = var.shop
        args    = ["serve"]
      }

      env {
        SHOP_NAME    = "pricing"
        SHOP_VERSION = "1.0"
        SHOP_FAULTS  = ""
        SHOP_LISTEN  = "127.0.0.1:${NOMAD_PORT_http}"
      }

      resources {
        cpu    = 100
        memory = 64
      }

      logs {
        disabled      = true # nobody reads them, and a logger is a process per task
        max_files     = 1
        max_file_size = 2
      }
    }

    task "proxy" {
      driver       = "raw_exec"
      kill_timeout = "4s"

      config {
        command = var.shop
        args    = ["proxy"]
      }

      env {
        SHOP_SERVICE       = "pricing"
        SHOP_SERVICE_PORT  = "${NOMAD_PORT_http}"
        SHOP_PROXY_PORT    = "${NOMAD_PORT_proxy}"
        SHOP_STATSD        = var.statsd_addr
        SHOP_CONSUL        = var.consul_addr
        SHOP_CONSUL_TOKEN  = var.consul_token
        SHOP_CONSUL_BINARY = var.consul
      }

      resources {
        cpu    = 100
        memory = 160
      }

      logs {
        disabled      = true # nobody reads them, and a logger is a process per task
        max_files     = 1
        max_file_size = 2
      }
    }
  }
}
