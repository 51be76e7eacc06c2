test "a patch of a night waits for the morning" {
  now = "2026-01-05T23:00:00Z" # a Monday
  target { job = "web-shop" }
  expect {
    opens = "2026-01-06T08:00:00Z" # nine in Berlin
    waits = "window"
  }
}

test "it goes at once at noon" {
  now = "2026-01-06T11:00:00Z"
  target { job = "web-shop" }
  expect { opens = "2026-01-06T11:00:00Z" }
}

test "in summer the morning comes an hour earlier for UTC" {
  now = "2026-07-06T23:00:00Z"
  target { job = "web-shop" }
  expect { opens = "2026-07-07T07:00:00Z" }
}

test "what comes on a Friday waits for Monday" {
  now = "2026-01-09T10:00:00Z"
  target { job = "web-shop" }
  expect { opens = "2026-01-12T08:00:00Z" }
}

test "a critical patch goes at night" {
  now = "2026-01-05T23:00:00Z"
  target { job = "web-shop" }
  patch { severity = "critical" }
  expect { opens = "2026-01-05T23:00:00Z" }
}
