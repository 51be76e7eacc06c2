patch "a" {}
patch "b" {}
