# Databases, queues and other replicated state, one instance at a time. The way back is
# rehearsed, a person consents, and no other target is patched meanwhile.
policy "stateful" {
  # Say here which targets it is for.
  applies  = target.meta.role == "stateful"
  critical = true # so that it goes last in a plan
  prefer   = "lowest_load"
  deadline = "30m" # a member catches up before it is healthy

  # The first instance is judged alone, then half, then all, one after the other within
  # each stage.
  strategy "phased" {
    stages = [1, 50, 100]
  }

  simulate {
    revert          = "required" # data that the patched program wrote must still be read
    on_inconclusive = "approve"
  }

  judge {
    min_duration    = "10m"
    max_duration    = "2h"
    on_inconclusive = "hold"
  }

  # A quorum bears the loss of one member.
  budget {
    instances  = 1
    targets    = 1
    failures   = 1
    neighbours = "exclusive"
  }

  approval {
    count   = 1
    self    = false
    expires = "24h"
  }

  rollback {
    at_once = false # the quorum has to hold on the way back too
    window  = "72h"
  }
}
