# Beside shop.hcl, for those who want to see smaller regressions found: narrower
# margins for the processor, and the disks of the store's machines are judged.
# The KPIs of the most specific policy are the ones that count.
policy "narrow-catalog" {
  applies = target.namespace == "default" && target.job == "catalog"

  # A processor's use is judged by its mean, which takes longer than counting
  # requests where a stage serves a few of them a second.
  judge {
    max_duration = "20m"

    kpi "error_rate" {
      abort_above   = "1.5x"
      promote_below = "3x"
      ignore_below  = 0.05
    }

    kpi "latency_p90" {
      abort_above   = "1.5x"
      promote_below = "2.5x"
      ignore_below  = "50ms"
    }

    kpi "cpu" {
      abort_above   = "2x"
      promote_below = "4x"
      ignore_below  = 0.02
    }
  }
}

policy "narrow-store" {
  applies = target.namespace == "default" && target.job == "store"

  # Without the sandbox, which would find it first: what is shown here is what
  # production's own measurements find.
  simulate {
    required = false
  }

  # A disk at rest says the same at each look, and such a reading counts once a scrape.
  judge {
    max_duration = "20m"

    kpi "error_rate" {
      abort_above   = "1.5x"
      promote_below = "3x"
      ignore_below  = 0.05
    }

    # A store that waits for its disk is slower on a busy machine, and may be.
    kpi "latency_p90" {
      abort_above   = "1.5x"
      promote_below = "2.5x"
      ignore_below  = "500ms"
    }

    # An idle disk does next to nothing, so the ratios alone would forbid all.
    kpi "io_operations" {
      abort_above   = "2x"
      promote_below = "4x"
      ignore_below  = 2
    }

    kpi "io_bytes" {
      abort_above   = "2x"
      promote_below = "4x"
      ignore_below  = 50000
    }
  }
}
