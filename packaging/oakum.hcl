# The server of this machine. It does not start before `vault` or `auth` says who callers
# are, and a rule what they may do. A whole file:
# https://github.com/oakumhq/oakum/blob/main/docs/guides/your-cluster.md#4-three-servers

data_dir = "/var/lib/oakum"

addresses {
  http = "127.0.0.1:4740"
  raft = "127.0.0.1:4741"
}

server {
  bootstrap_expect = 1 # 3 in production, with retry_join
}

nomad { address = "http://127.0.0.1:4646" }

# consul     { address = "http://127.0.0.1:8500" }
# prometheus { address = "http://127.0.0.1:9090" }

# vault {
#   address        = "https://127.0.0.1:8200"
#   role_id_file   = "/etc/oakum.d/role_id"
#   secret_id_file = "/etc/oakum.d/secret_id"
#   nomad {}
#   consul {}
# }

# auth {
#   rule "operators" {
#     when         = contains(claims.groups, "operators")
#     capabilities = ["read", "patch-submit", "simulate", "approve", "rollout-control", "policy-write", "operator"]
#   }
# }
