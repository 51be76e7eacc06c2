# How the example shop is patched. Only what differs from the library that
# ships with Oakum stands here: a demonstration has minutes, not hours, and a
# small machine that runs everything at once is noisy.
policy "shop" {
  applies = target.namespace == "default"

  # At two requests per second: some 180 to each twin, which is enough to acquit a
  # patch with the margins below.
  simulate {
    required = target.driver == "qemu"
    seconds  = 90
    pairs    = 1 # a second pair of boots takes minutes on this machine
    workload = "replay"
  }

  # The smallest stage, one of ten catalogs, serves two or three requests per second:
  # with these margins it is judged within a minute.
  judge {
    interval        = "2s"
    min_duration    = "0s"
    max_duration    = "10m"
    false_alarm     = 0.01
    miss            = 0.05
    on_inconclusive = "hold"

    # A share of failed requests, a latency and a use of the processor that
    # nobody would notice are no regression, whatever their ratio.
    kpi "error_rate" {
      abort_above   = "1.5x"
      promote_below = "3x"
      ignore_below  = 0.05
    }

    # The slowest tenth, since a hundredth would take minutes to be seen.
    kpi "latency_p90" {
      abort_above   = "1.5x"
      promote_below = "2.5x"
      ignore_below  = "50ms"
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

  # A machine boots in seconds and settles for ten more; one that is not healthy by
  # then, on whatever it is emulated, never will be.
  deadline = "5m"
}
