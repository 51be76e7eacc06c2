policy "b" {
  simulate { env = { "A-B" = "x" } }
}
policy "c" {
  simulate { env = { NOMAD_ALLOC_ID = "x" } }
}
policy "d" {
  simulate { env = { A = null } }
}
policy "a" {
  simulate {
    stubs "pricing" {}
    stub {}
    stub "empty" {}
    stub "pricing" {
      port     = 70000
      recorded = "pricing.ndjson@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    stub "pricing" {
      answer { path = "/" }
    }
    stub "absent" { recorded = file("absent.ndjson") }
    stub "typed" { recorded = "pricing.ndjson" }
    stub "one" {
      port = 9091
      answer { path = "/" }
    }
    stub "two" {
      port = 9091
      answer { path = "/" }
    }
    stub "wrong" {
      answers {}
      answer "GET" { path = "/" }
      answer {}
      answer { path = "price" }
      answer {
        path   = target.job
        status = 101
      }
      answer {
        method  = "get"
        path    = "/a"
        latency = "31s"
      }
      answer {
        path    = "/a"
        headers = { "Content-Length" = "3" }
      }
      answer {
        path   = "/a"
        status = 204
        body   = "x"
      }
      answer { path = "/b" }
      answer { path = "/b" }
    }
  }
}
