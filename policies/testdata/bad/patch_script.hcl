patch "script" {
  severity = "low"
  target { jobs = ["store"] }
  apply "script" {
    task   = "vm"
    script = "dpkg -i *.deb"
    reboot = "often"
    payload "a" {
      source   = "https://mirror.example/a.deb"
      checksum = "md5:d41d8cd98f00b204e9800998ecf8427e"
    }
    payload "b" {
      source   = "ftp://mirror.example/b.deb"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload "c" {
      source   = "https://ann:secret@mirror.example/c.deb"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload "d" {
      source   = "https://mirror.example/d.deb?X-Amz-Signature=1"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload "e" {
      source   = "https://mirror.example/pool/"
      checksum = "sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"
    }
    payload "f" {
      source   = "https://mirror.example/same.deb"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload "g" {
      source   = "https://other.example/same.deb"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload {
      source = "mirror.example/h.deb"
    }
    payload "f" {
      source   = "https://mirror.example/other.deb"
      checksum = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    }
    payload "i" {
      source   = "https://mirror.example/$${attr.unique.hostname}.deb?checksum=x"
      checksum = 3
    }
    verify {
      command = " "
      expect  = ""
    }
    verify {
      command = "true"
    }
    verifies {}
  }
  apply "image" {
    task  = "other"
    image = "/a.qcow2"
    payload "a" {}
    verify {}
  }
}
