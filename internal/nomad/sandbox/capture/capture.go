// Package capture reads what a machine has sent, in the form in which QEMU keeps it, and
// reduces it to what the machine tries to reach.
package capture

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/oakumhq/oakum/internal/twin"
)

const (
	// FrameMax is how many bytes of a packet are kept: the largest headers of Ethernet,
	// IP and TCP, and with UDP nearly every name that may be asked.
	FrameMax = 256
	// DestinationsMost is how many destinations of a machine are counted. One that tries
	// more, as a scan does, is full.
	DestinationsMost = 256

	portDNS    = 53
	portDHCP   = 67
	portDHCPv6 = 547
)

// Found gathers destinations from the captures of a machine.
type Found struct {
	Full      bool // as twin.Egress.Full
	noGateway bool
	seen      map[twin.Destination]bool
}

// New returns an empty Found.
func New() *Found { return &Found{seen: map[twin.Destination]bool{}} }

// Egress is what was found so far.
func (f *Found) Egress() twin.Egress {
	return twin.Egress{Full: f.Full, NoGateway: f.noGateway, Destinations: slices.SortedFunc(maps.Keys(f.seen), twin.Destination.Compare)}
}

// Read reads a capture to its end, or until there are too many destinations. QEMU may
// still be writing, so the last packet may be cut off.
func (f *Found) Read(capture io.Reader) error {
	packets, err := pcapgo.NewReader(capture)
	if err != nil {
		return fmt.Errorf("it is no capture: %w", err)
	}
	if packets.LinkType() != layers.LinkTypeEthernet {
		return fmt.Errorf("it is a capture of %s, want Ethernet", packets.LinkType())
	}
	if length := packets.Snaplen(); length == 0 || length > FrameMax {
		return fmt.Errorf("its packets have up to %d bytes, want at most %d", length, FrameMax)
	}
	decode := newDecoder()
	for !f.Full {
		frame, _, err := packets.ReadPacketData()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a packet: %w", err)
		}
		f.frame(decode, frame)
	}
	return nil
}

// decoder holds the layers of one packet.
type decoder struct {
	parser   *gopacket.DecodingLayerParser
	ethernet layers.Ethernet
	vlan     layers.Dot1Q
	ip4      layers.IPv4
	ip6      layers.IPv6
	tcp      layers.TCP
	udp      layers.UDP
	icmp4    layers.ICMPv4
	icmp6    layers.ICMPv6
	found    []gopacket.LayerType
}

func newDecoder() *decoder {
	d := &decoder{}
	d.parser = gopacket.NewDecodingLayerParser(layers.LayerTypeEthernet, &d.ethernet, &d.vlan, &d.ip4, &d.ip6, &d.tcp, &d.udp, &d.icmp4, &d.icmp6)
	d.parser.IgnoreUnsupported = true
	return d
}

func (d *decoder) has(t gopacket.LayerType) bool { return slices.Contains(d.found, t) }

// packet is the IP packet in the layers: where to, of which protocol, and whether it is
// a later part of a larger one.
func (d *decoder) packet() (to netip.Addr, protocol layers.IPProtocol, later, ok bool) {
	switch {
	case d.has(layers.LayerTypeIPv4):
		to, ok = netip.AddrFromSlice(d.ip4.DstIP.To4())
		return to, d.ip4.Protocol, d.ip4.FragOffset != 0, ok
	case d.has(layers.LayerTypeIPv6):
		to, ok = netip.AddrFromSlice(d.ip6.DstIP)
		return to, d.ip6.NextHeader, false, ok
	}
	return netip.Addr{}, 0, false, false // ARP, or no IP at all
}

// frame notes what a machine tries to reach with a packet. What it sends to everybody
// on its network goes nowhere, and every system does it by itself.
func (f *Found) frame(d *decoder, frame []byte) {
	// An error is a packet that ends before its layers do. What was decoded counts.
	_ = d.parser.DecodeLayers(frame, &d.found)
	to, protocol, later, ok := d.packet()
	if !ok || later || isNoise(d.ethernet.DstMAC, to) {
		if d.has(layers.LayerTypeUDP) && d.udp.DstPort == portDHCP {
			f.noGateway = true
		}
		return
	}
	to = to.Unmap()
	next := twin.Destination{Protocol: strings.ToLower(protocol.String()), Address: to}
	switch {
	case d.has(layers.LayerTypeTCP):
		if !d.tcp.SYN || d.tcp.ACK {
			return // the connection is not new, or another machine began it
		}
		next.Port = uint16(d.tcp.DstPort)
	case d.has(layers.LayerTypeUDP):
		next.Port = uint16(d.udp.DstPort)
		switch next.Port {
		case portDHCP:
			f.noGateway = true
			return
		case portDHCPv6:
			return
		case portDNS:
			next.Name = askedName(d.udp.Payload)
		}
	case d.has(layers.LayerTypeICMPv4):
		next.Protocol = "icmp"
		if d.icmp4.TypeCode.Type() != layers.ICMPv4TypeEchoRequest {
			return // an answer
		}
	case d.has(layers.LayerTypeICMPv6):
		if d.icmp6.TypeCode.Type() != layers.ICMPv6TypeEchoRequest {
			return // an answer, or a search for neighbours
		}
	}
	if !f.seen[next] && len(f.seen) == DestinationsMost {
		f.Full = true
		return
	}
	f.seen[next] = true
}

// isNoise reports whether a packet is for everybody on the machine's network, or stays
// on it. The cloud's metadata address is a link-local one of IPv4, and is no noise.
func isNoise(mac net.HardwareAddr, to netip.Addr) bool {
	broadcast := layers.EthernetBroadcast
	return slices.Equal(mac, broadcast) || to.IsMulticast() || to.IsUnspecified() || to == netip.AddrFrom4([4]byte{255, 255, 255, 255}) ||
		to.Is6() && !to.Is4In6() && to.IsLinkLocalUnicast()
}

// askedName is the name that a DNS query asks for, in lower case and without the last
// dot, or "". A guest may write anything into it, and people read it.
func askedName(query []byte) string {
	var p dnsmessage.Parser
	if header, err := p.Start(query); err != nil || header.Response {
		return ""
	}
	q, err := p.Question()
	if err != nil {
		return ""
	}
	plain := func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r) {
			return r
		}
		return '?'
	}
	return strings.Map(plain, strings.ToLower(strings.TrimSuffix(q.Name.String(), ".")))
}
