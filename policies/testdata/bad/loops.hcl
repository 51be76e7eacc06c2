policy "a" {
  applies = length([for a in target.services : [for b in target.services : b]]) > 1
}
