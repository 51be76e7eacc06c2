# The behaviour of Oakum out of the box. It applies to every target, and every
# other policy is more specific than it: write a policy of your own to change
# a part, and the rest stays as it is here.
policy "default" {
  # A target is critical when at least two services would suffer without it,
  # when some service can only be reached through it, or when its metadata say so.
  critical = graph.blast_radius >= 2 || graph.single_point || target.meta.tier == "1"

  # Containers and programs have twins only where a client is prepared for them.
  simulate {
    required = target.driver == "qemu"
    seconds  = 120 # some 600 requests, which are enough to acquit a patch
    workload = "replay"
  }

  strategy "phased" {
    when   = target.critical || target.type == "system" # of which no node runs two instances
    stages = [10, 50, 100]
  }

  strategy "blue_green" {}

  judge {
    false_alarm     = 0.01
    miss            = 0.05
    interval        = "5s"
    min_duration    = "1m" # what a patch does to a neighbour shows in that one's last minute
    max_duration    = "30m"
    on_inconclusive = "hold"

    kpi "error_rate" {
      abort_above   = "1.1x"
      promote_below = "2x"
      ignore_below  = 0.0001
    }

    kpi "latency_p99" {
      abort_above   = "1.1x"
      promote_below = "1.3x"
      ignore_below  = "1ms"
    }

    kpi "cpu" {
      abort_above   = "1.2x"
      promote_below = "1.5x"
      ignore_below  = 0.01
    }
  }

  # One failure of a patch stops it everywhere, and no two targets that talk to
  # each other are patched at once.
  budget {
    failures   = 1
    neighbours = "exclusive"
  }

  rollback {
    on         = ["verdict", "health", "deadline", "denied"]
    quarantine = true
  }

  deadline = "10m"
}
