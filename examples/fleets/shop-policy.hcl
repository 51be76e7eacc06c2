# How the fleet in memory is patched. Only what differs from the library that
# ships with Oakum stands here: a first look has a minute, not hours.
policy "shop" {
  applies = target.namespace == "default"

  # Some 500 requests to each twin, which is enough to acquit a patch with the margins
  # below.
  simulate {
    required = target.driver == "qemu"
    seconds  = 9
    workload = "replay"

    # On a machine that is too busy to decide, one instance goes first. By default a
    # person would have to approve that for a critical target.
    on_inconclusive = "one_first"
  }

  judge {
    interval        = "1s"
    min_duration    = "0s"
    max_duration    = "2m"
    false_alarm     = 0.01
    miss            = 0.05
    on_inconclusive = "hold"

    # A share of failed requests and a use of the processor that nobody would
    # notice are no regression, whatever their ratio.
    kpi "error_rate" {
      abort_above   = "1.5x"
      promote_below = "3x"
      ignore_below  = 0.1
    }

    kpi "latency_p90" {
      abort_above   = "1.5x"
      promote_below = "4x"
      ignore_below  = "20ms"
    }

    kpi "cpu" {
      abort_above   = "2x"
      promote_below = "4x"
      ignore_below  = 0.2
    }
  }

  budget {
    neighbours = "exclusive"
  }

  deadline = "1m"
}
