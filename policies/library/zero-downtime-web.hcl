# Web services that never have fewer healthy instances than before. Patched ones start
# beside the former ones, and those leave after the verdict on the whole set.
policy "zero-downtime-web" {
  # Say here which targets it is for.
  applies = target.meta.role == "web"
  prefer  = "lowest_load"

  # Nothing switches traffic between the two sets, so the patched one grows in steps, and
  # each step is judged before the next one gets its share.
  strategy "blue_green" {
    stages = [10, 50, 100]
  }

  judge {
    min_duration    = "5m" # connections and caches are warm by then
    max_duration    = "1h"
    on_inconclusive = "hold"

    kpi "error_rate" {
      abort_above   = "1.05x"
      promote_below = "1.5x"
      ignore_below  = 0.0001
    }

    kpi "latency_p99" {
      abort_above   = "1.1x"
      promote_below = "1.2x"
      ignore_below  = "1ms"
    }

    kpi "cpu" {
      abort_above   = "1.2x"
      promote_below = "1.5x"
      ignore_below  = 0.01
    }
  }

  # Of what is down for any reason, at most this share may be patched or go back at once.
  budget {
    instances  = "10%"
    failures   = 1
    neighbours = "exclusive"
  }

  rollback {
    at_once = false
    window  = "48h" # two days' peaks
  }
}
