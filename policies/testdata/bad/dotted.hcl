policy "a" { specificity = target.count }
