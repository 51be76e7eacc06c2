policy "web-tier" {
  applies = target.namespace == "prod"

  approval {
    when  = patch.severity != "critical"
    from  = "release-managers"
    count = 2
  }

  freeze "year-end" {
    from   = "2026-12-18"
    to     = "2027-01-04"
    reason = "trading freeze"
  }

  simulate { required = impact.simulated == false && target.meta.twin != "no" }
}

policy "weighty" {
  applies = target.namespace == "dev"
  budget { targets = target.meta.weight }
}
