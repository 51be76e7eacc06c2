# A person approves each patch, and a stage is judged for so long that a test can turn it
# back meanwhile.
policy "browser" {
  applies = true

  simulate { required = false }

  strategy "phased" {
    when   = true
    stages = [10, 50, 100]
  }

  approval {
    when  = true
    from  = "release-managers"
    count = 1
    self  = false
  }

  judge {
    interval        = "1s"
    min_duration    = "1h"
    max_duration    = "2h"
    false_alarm     = 0.01
    miss            = 0.05
    on_inconclusive = "hold"

    kpi "error_rate" {
      abort_above   = "3x"
      promote_below = "6x"
      ignore_below  = 0.2
    }
  }

  deadline = "2h"
}
