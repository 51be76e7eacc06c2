# Ordinary patches start while people are at work who could help. What is under way in the
# evening waits for the next morning. Critical patches go at any time.
policy "business-hours" {
  applies = patch.severity != "critical"

  # Fridays are left out: a weekend is long, and a rollout may be taken back for a day.
  window "office" {
    start    = "0 9 * * 1-4"
    length   = "7h"
    timezone = "Europe/Berlin"
    cutoff   = "hold"
    # except = ["2026-12-24"] are days on which nobody is there; it needs cluster level 8.
  }
}
