policy "a" {
  deadline = "tomorrow"
  prefer   = "lowest"
  judge {
    false_alarm     = 0.9
    on_inconclusive = "promote"
    kpi "cpu" {
      abort_above   = "1.5x"
      promote_below = "1.2x"
    }
    kpi "latency_p99" {
      abort_above   = "0.9x"
      promote_below = 2
      ignore_below  = "5"
    }
    kpi "P99" {
      abort_above   = 2
      promote_below = 3
    }
  }
  budget {
    instances  = "110%"
    targets    = 0
    neighbours = "friendly"
  }
  window "w" {
    start    = "0 25 * * *"
    length   = "10s"
    timezone = "Berlin"
    cutoff   = "stop"
  }
  window "never" {
    start  = "0 0 30 2 *"
    length = "1h"
  }
  freeze "f" {
    from   = "2027-01-04"
    to     = "2026-12-18"
    reason = "backwards"
  }
  freeze "g" {
    from   = "soon"
    to     = "2026-12-18"
    reason = ""
  }
  approval { count = 1.5 }
  rollback { on = ["verdict", "boredom"] }
  simulate {
    seconds  = 30
    minutes  = 1
    workload = "random"
  }
}
