package twin

import (
	"cmp"
	"fmt"
	"net/netip"
)

// Egress is what a machine has tried to reach by itself since it started. Nothing of it
// got out. Answers to requests from outside are not in it.
type Egress struct {
	Destinations []Destination // each once, sorted
	// Full says that the machine sent more than is kept, so Destinations may lack some.
	Full bool
	// NoGateway says that the machine asks for its address by DHCP. QEMU's restricted
	// network then offers it no gateway and no name server, so it sends nothing to what
	// lies beyond them.
	NoGateway bool
}

// Destination is where a machine has tried to connect to, or to send a datagram.
type Destination struct {
	Protocol string // tcp, udp, icmp or icmpv6, else the IP protocol's name in lower case
	Address  netip.Addr
	Port     uint16 // 0 where the protocol has none, or it is not known
	Name     string // asked of the name server at Address; empty for anything else
}

func (d Destination) String() string {
	text := d.Protocol + " " + d.Address.String()
	if d.Port != 0 {
		text = d.Protocol + " " + netip.AddrPortFrom(d.Address, d.Port).String()
	}
	if d.Name != "" {
		text += fmt.Sprintf(" (the name %s)", d.Name)
	}
	return text
}

// Compare orders destinations by protocol, address, port and name.
func (d Destination) Compare(other Destination) int {
	return cmp.Or(
		cmp.Compare(d.Protocol, other.Protocol), d.Address.Compare(other.Address),
		cmp.Compare(d.Port, other.Port), cmp.Compare(d.Name, other.Name),
	)
}
