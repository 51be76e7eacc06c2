patch "changed" {
  severity = "low"
  target { jobs = ["store"] }
  apply "script" {
    task   = "a"
    script = <<-SH
      mv /srv/Müller.conf /srv/mueller.conf
    SH
  }
  apply "script" {
    task   = "b"
    script = "rm u\u0308.conf"
  }
  apply "script" {
    task   = "c"
    script = "rm ${"u"}\u0308.conf"
    verify {
      command = "test ! -e /srv/Müller.conf"
    }
  }
}
