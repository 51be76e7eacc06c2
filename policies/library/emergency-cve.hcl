# Critical patches that fix a named fault, in two stages, the most exposed first. They go
# to those that have the fault or of which nobody knows. Windows of other policies still
# hold: let their applies leave out critical patches, as business-hours does.
policy "emergency-cve" {
  applies     = patch.severity == "critical" && length(patch.fixes) > 0
  specificity = 100 # it decides before policies about single targets
  order       = "exposed_first"
  prefer      = "none"

  select {
    affected = true
    unknown  = "include"
  }

  strategy "phased" {
    stages = [10, 100]
  }

  # A short look finds what is badly broken. What it can't tell is left to a person.
  judge {
    min_duration    = "30s"
    max_duration    = "10m"
    on_inconclusive = "hold"
  }

  budget {
    failures = 1
  }

  # The severity is the author's word, so that somebody else confirms it.
  approval {
    count   = 1
    self    = false
    expires = "4h"
  }

  rollback {
    at_once = false
    window  = "24h"
  }
}
