# The customers: a load on front and backoffice. No service, no mesh:
# what drives the application is no part of it.
variable "shop" {
  description = "Path of the shop binary on the clients."
}
variable "consul_addr" {}
variable "consul_token" {
  description = "Consul token that may read the services."
}
variable "entries" {
  description = "Requests per second by service."
  default     = "front=5,backoffice=19"
}
variable "swing" {
  description = "Multiples of these rates between which the load swings, such as 0.5:3; empty means steady."
  default     = ""
}

job "load" {
  group "load" {
    ephemeral_disk {
      size = 30 # nothing is written but by a fault
    }

    network {
      port "http" {}
    }

    task "generator" {
      driver = "raw_exec"

      config {
        command = var.shop
        args    = ["load"]
      }

      env {
        SHOP_ENTRIES      = var.entries
        SHOP_SWING        = var.swing
        SHOP_PATHS        = "/item/1,/item/2,/item/3,/item/4"
        SHOP_LISTEN       = "127.0.0.1:${NOMAD_PORT_http}"
        SHOP_CONSUL       = var.consul_addr
        SHOP_CONSUL_TOKEN = var.consul_token
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
  }
}
