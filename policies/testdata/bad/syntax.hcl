policy "a" {
  applies = target.job ==
}
