package qemu

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// hostForward is a port of the group that is forwarded into the machine:
// PROTOCOL:[HOST]:PORT-[GUEST]:PORT. The host's port must be one that Nomad chose.
const hostForward = `(tcp|udp|):` +
	`(?:(?:(?:` + anyIP + `|\$\{NOMAD_(?:HOST_)?IP_[A-Za-z0-9_]+\})?:\$\{NOMAD_(?:HOST_)?PORT_([A-Za-z0-9_]+)\})|\$\{NOMAD_(?:HOST_)?ADDR_([A-Za-z0-9_]+)\})` +
	`-(?:` + anyIP + `)?:[0-9]{1,5}`

// userNetwork are the properties of QEMU's user network that open no door.
func userNetwork() properties {
	return properties{
		"id": anyID, "hostfwd": `.*`, "restrict": anyOnOff, "ipv4": anyOnOff, "ipv6": anyOnOff,
		"net": anyIP + `(/[0-9.]+)?`, "host": anyIP, "dhcpstart": anyIP, "dns": anyIP,
		"hostname": anyWord, "domainname": anyWord, "dnssearch": anyWord,
	}
}

// network is a network of the machine, a card, or both. The only network is QEMU's
// user network, and it is restricted: it drops every packet that the guest sends to
// anything but QEMU's own DHCP, and lets in what comes through forwarded ports.
func (r *reader) network(a argument) error {
	o, err := a.split("type")
	if err != nil {
		return err
	}
	if len(o) == 0 || o[0].key != "type" {
		return a.refuse("its type must come first")
	}
	allowed := properties{"type": `user`}.and(userNetwork())
	card := properties{"model": networkCards, "mac": anyMAC, "macaddr": anyMAC, "addr": anyNumber, "vectors": anyNumber, "name": anyID}
	switch {
	case a.flag != "-netdev" && a.value == "none":
		r.keep(a.flag, "none")
		return nil
	case a.flag == "-net" && o[0].value == "nic":
		if err := a.check(o, card.and(properties{"type": `nic`, "netdev": anyID})); err != nil {
			return err
		}
		r.keep(a.flag, o.write("type"))
		return nil
	case a.flag == "-nic":
		allowed = allowed.and(card)
	case a.flag == "-net":
		allowed = allowed.and(properties{"name": anyID})
	}
	if err := a.check(o, allowed); err != nil {
		return err
	}
	for _, have := range o {
		if have.key == "hostfwd" {
			if err := r.forward(a, have.value); err != nil {
				return err
			}
		}
	}
	// IPv6 is off, since all of the machine's doors are those of IPv4.
	own := options{o[0], {"restrict", "on"}, {"ipv6", "off"}}
	id := o.get("id")
	if id == "" {
		id = fmt.Sprintf("oakum-net-%d", len(r.out.Networks)) // a capture must name it
		own = append(own, option{"id", id})
	}
	r.out.Networks = append(r.out.Networks, id)
	r.keep(a.flag, append(own, o.without("type", "restrict", "ipv4", "ipv6")...).write("type"))
	return nil
}

// forward notes a port that is forwarded into the machine.
func (r *reader) forward(a argument, rule string) error {
	m := regexp.MustCompile(`\A(?:` + hostForward + `)\z`).FindStringSubmatch(rule)
	if m == nil {
		return a.refuse("hostfwd=%s is not allowed in a twin (allowed: tcp|udp:[IP]:${NOMAD_PORT_label}-[IP]:port, with a port of the group)", rule)
	}
	label := m[len(m)-2] + m[len(m)-1]
	at := slices.IndexFunc(r.task.Ports, func(have string) bool { return strings.Map(InVariable, have) == label })
	if at < 0 {
		return a.refuse("hostfwd=%s: the group has no port %q", rule, label)
	}
	if m[1] != "udp" {
		r.out.Ports = append(r.out.Ports, r.task.Ports[at])
	}
	return nil
}
