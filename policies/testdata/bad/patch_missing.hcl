patch "a" {
}
