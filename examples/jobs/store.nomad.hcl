# The store: three virtual machines that boot from one image and keep nothing of
# their own. A patch of the machine is another image_path.
variable "shop" {
  description = "Path of the shop binary on the clients."
}
variable "images" {
  description = "Folder of the store's images on the clients."
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

job "store" {
  group "store" {
    count          = 3
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
      port "machine" {}
    }

    service {
      name     = "store"
      provider = "consul"
      port     = "http"
      address  = "127.0.0.1"
      tags     = ["metrics"]

      meta {
        oakum_namespace = "default"
        oakum_job       = "store"
        oakum_group     = "store"
      }

      check {
        name     = "store is healthy"
        type     = "http"
        path     = "/health"
        interval = "5s"
        timeout  = "10s" # a busy machine is not an ill service

        failures_before_critical = 2 # nor is one answer that was lost
      }
    }

    # What the machine itself does: its disks and what its tasks wait for. Without
    # a check: a store without its exporter still sells.
    service {
      name     = "store-machine"
      provider = "consul"
      port     = "machine"
      address  = "127.0.0.1"
      tags     = ["metrics"]

      meta {
        oakum_namespace = "default"
        oakum_job       = "store"
        oakum_group     = "store"
      }
    }

    update {
      max_parallel      = 1
      health_check      = "checks"
      min_healthy_time  = "2s"
      healthy_deadline  = "5m"
      progress_deadline = "10m"
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

    task "vm" {
      driver       = "qemu"
      kill_timeout = "1s" # nothing to save: the disk is a snapshot

      config {
        image_path      = "${var.images}/store-1.0.qcow2"
        drive_interface = "virtio"
        args = [
          "-snapshot", # machines share the image and throw their writes away
          "-no-reboot",
          "-cpu", "max", # what the emulator knows best takes a tenth less
          "-netdev", "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_http}-:8080,hostfwd=tcp:127.0.0.1:${NOMAD_PORT_machine}-:9100",
          "-device", "virtio-net-pci,netdev=n0,romfile=",
        ]
      }

      # The guest gets memory; the emulator around it needs memory_max.
      resources {
        cpu        = 500
        memory     = 128
        memory_max = 400
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
        SHOP_SERVICE       = "store"
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
