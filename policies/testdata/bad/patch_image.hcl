patch "images" {
  severity = "high"
  target { jobs = ["web"] }

  apply "image" {
    task = "neither"
  }
  apply "image" {
    task     = "both"
    image    = "/images/web.qcow2"
    source   = "https://images.example/web.qcow2"
    checksum = "sha256:5b1f9d8c7f7f8b1c6d6a4b3f0d6a1a5d2e9c1f0b7e8d9c6a5b4c3d2e1f0a9b8c"
  }
  apply "image" {
    task   = "unchecked"
    source = "https://images.example/web.qcow2"
  }
  apply "image" {
    task     = "checked twice"
    image    = "/images/web.qcow2"
    checksum = "sha256:5b1f9d8c7f7f8b1c6d6a4b3f0d6a1a5d2e9c1f0b7e8d9c6a5b4c3d2e1f0a9b8c"
  }
  apply "image" {
    task     = "with a login"
    source   = "https://ann:secret@images.example/web.qcow2"
    checksum = "sha256:no"
  }
  apply "image" {
    task  = "relative"
    image = "local/web.qcow2"
  }
}
