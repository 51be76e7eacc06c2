policy "a" {
  applies  = target.jobb == "web"
  critical = target.critical || tarqet.count > 3
  simulate { required = graph.blast_radus >= 2 }
  strategy "phased" { when = containz(target.services, "x") }
}
