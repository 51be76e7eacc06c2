policy "never" {
  critical = contains(target.job, "web")
  applies  = target.services == ["web"]
  deadline = now.weekday == "Saturday" ? "1h" : "2h"
  prefer   = contains(patch.kinds, "imgae") ? "speed" : "safety"

  judge {
    interval     = "3h"
    min_duration = "2h"
    max_duration = "1h"
  }
  window "late" {
    start  = "0 22-2 * * *"
    length = "30m"
    except = ["2026-12-24", "Christmas"]
  }
  window "thirteenth" {
    start  = "0 22 13 * 5"
    length = "30m"
  }
  window "often" {
    start  = "RRULE:FREQ=WEEKLY;INTERVAL=2;BYHOUR=22"
    length = "30m"
  }
}

policy "severe" {
  critical = contains(["high", "critial"], patch.severity)
  applies  = contains(target.meta.cves, "CVE-2026-0001")
}
