package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/shoenig/test/must"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/capture"
	"github.com/oakumhq/oakum/internal/twin"
)

// guest and gateway are the two ends of QEMU's user network.
var (
	guest   = net.IPv4(10, 0, 2, 15)
	gateway = net.HardwareAddr{0x52, 0x55, 10, 0, 2, 2}
)

// sent is a frame that a guest sends.
func sent(t testing.TB, list ...gopacket.SerializableLayer) []byte {
	t.Helper()
	b := gopacket.NewSerializeBuffer()
	must.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, list...))
	return slices.Clone(b.Bytes())
}

func ethernet(to net.HardwareAddr, kind layers.EthernetType) *layers.Ethernet {
	return &layers.Ethernet{SrcMAC: net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}, DstMAC: to, EthernetType: kind}
}

// ip4 is an IPv4 frame to an address beyond the gateway.
func ip4(t testing.TB, to string, protocol layers.IPProtocol, rest ...gopacket.SerializableLayer) []byte {
	t.Helper()
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: guest, DstIP: net.ParseIP(to)}
	return sent(t, append([]gopacket.SerializableLayer{ethernet(gateway, layers.EthernetTypeIPv4), ip}, rest...)...)
}

// query asks for the address of a name.
func query(t testing.TB, name string, response bool) gopacket.Payload {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 1, RecursionDesired: true, Response: response},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	text, err := m.Pack()
	must.NoError(t, err)
	return text
}

// captureOf is a file as QEMU writes it, with at most so many bytes of each frame.
func captureOf(t testing.TB, most int, frames ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w := pcapgo.NewWriter(&file)
	must.NoError(t, w.WriteFileHeader(capture.FrameMax, layers.LinkTypeEthernet))
	for _, f := range frames {
		kept := f[:min(most, len(f))]
		must.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: time.Unix(1, 0), CaptureLength: len(kept), Length: len(f)}, kept))
	}
	return file.Bytes()
}

func readEgress(file []byte) (twin.Egress, error) {
	found := capture.New()
	err := found.Read(bytes.NewReader(file))
	return found.Egress(), err
}

// list writes the destinations out.
func list(e twin.Egress) []string {
	var out []string
	for _, d := range e.Destinations {
		out = append(out, d.String())
	}
	return out
}

func TestEgress_ReadsWhatAGuestTriesToReach(t *testing.T) {
	ip6 := func(to string, next layers.IPProtocol, rest ...gopacket.SerializableLayer) []byte {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: net.ParseIP("fd00::15"), DstIP: net.ParseIP(to)}
		return sent(t, append([]gopacket.SerializableLayer{ethernet(gateway, layers.EthernetTypeIPv6), ip}, rest...)...)
	}
	later := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, FragOffset: 10, SrcIP: guest, DstIP: net.IPv4(10, 9, 8, 7)}
	first := &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, Flags: layers.IPv4MoreFragments, SrcIP: guest, DstIP: net.IPv4(10, 9, 8, 7)}
	arp := &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
		SourceHwAddress: make([]byte, 6), SourceProtAddress: guest.To4(), DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 0, 2, 77},
	}
	udp := func(port layers.UDPPort) *layers.UDP { return &layers.UDP{SrcPort: 40000, DstPort: port} }
	cases := map[string]struct {
		frame []byte
		want  string // empty for nothing
	}{
		"a connection":       {ip4(t, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{SrcPort: 40000, DstPort: 443, SYN: true}), "tcp 10.9.8.7:443"},
		"an answer":          {ip4(t, "10.0.2.2", layers.IPProtocolTCP, &layers.TCP{SrcPort: 8080, DstPort: 40000, SYN: true, ACK: true}), ""},
		"data":               {ip4(t, "10.0.2.2", layers.IPProtocolTCP, &layers.TCP{SrcPort: 8080, DstPort: 40000, ACK: true}, gopacket.Payload(make([]byte, 1400))), ""},
		"the host":           {ip4(t, "10.0.2.2", layers.IPProtocolTCP, &layers.TCP{DstPort: 4646, SYN: true}), "tcp 10.0.2.2:4646"},
		"the metadata":       {ip4(t, "169.254.169.254", layers.IPProtocolTCP, &layers.TCP{DstPort: 80, SYN: true}), "tcp 169.254.169.254:80"},
		"a datagram":         {ip4(t, "192.0.2.1", layers.IPProtocolUDP, udp(123)), "udp 192.0.2.1:123"},
		"a name":             {ip4(t, "10.0.2.3", layers.IPProtocolUDP, udp(53), query(t, "Pricing.Example.", false)), "udp 10.0.2.3:53 (the name pricing.example)"},
		"a hostile name":     {ip4(t, "10.0.2.3", layers.IPProtocolUDP, udp(53), query(t, "\x1b[2J\xff.", false)), "udp 10.0.2.3:53 (the name ??2j?)"},
		"no query":           {ip4(t, "10.0.2.3", layers.IPProtocolUDP, udp(53), query(t, "a.", true)), "udp 10.0.2.3:53"},
		"no name":            {ip4(t, "10.0.2.3", layers.IPProtocolUDP, udp(53), gopacket.Payload("garbage")), "udp 10.0.2.3:53"},
		"a ping":             {ip4(t, "10.9.8.7", layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}), "icmp 10.9.8.7"},
		"a refusal":          {ip4(t, "10.0.2.2", layers.IPProtocolICMPv4, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, 3)}), ""},
		"another protocol":   {ip4(t, "10.9.8.7", layers.IPProtocolGRE), "gre 10.9.8.7"},
		"a first part":       {sent(t, ethernet(gateway, layers.EthernetTypeIPv4), first, gopacket.Payload("12345678")), "udp 10.9.8.7"},
		"a later part":       {sent(t, ethernet(gateway, layers.EthernetTypeIPv4), later, gopacket.Payload("12345678")), ""},
		"IPv6":               {ip6("2001:db8::1", layers.IPProtocolTCP, &layers.TCP{DstPort: 443, SYN: true}), "tcp [2001:db8::1]:443"},
		"a tag":              {sent(t, ethernet(gateway, layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 7, Type: layers.EthernetTypeIPv4}, &layers.IPv4{Version: 4, Protocol: layers.IPProtocolTCP, SrcIP: guest, DstIP: net.IPv4(10, 9, 8, 7)}, &layers.TCP{DstPort: 22, SYN: true}), "tcp 10.9.8.7:22"},
		"ARP":                {sent(t, ethernet(layers.EthernetBroadcast, layers.EthernetTypeARP), arp), ""},
		"multicast":          {ip4(t, "224.0.0.251", layers.IPProtocolUDP, udp(5353)), ""},
		"broadcast":          {ip4(t, "255.255.255.255", layers.IPProtocolUDP, udp(9)), ""},
		"of its network":     {sent(t, ethernet(layers.EthernetBroadcast, layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, SrcIP: guest, DstIP: net.IPv4(10, 0, 2, 255)}, udp(138)), ""},
		"a router":           {ip6("ff02::2", layers.IPProtocolICMPv6, &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeRouterSolicitation, 0)}), ""},
		"a neighbour":        {ip6("fe80::2", layers.IPProtocolTCP, &layers.TCP{DstPort: 443, SYN: true}), ""},
		"nothing":            {nil, ""},
		"the first byte":     {[]byte{0x52}, ""},
		"a header that ends": {ip4(t, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{DstPort: 443, SYN: true})[:40], "tcp 10.9.8.7"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			e, err := readEgress(captureOf(t, capture.FrameMax, c.frame, c.frame))
			must.NoError(t, err)
			must.Eq(t, c.want, strings.Join(list(e), "; "))
			must.False(t, e.Full)
			must.False(t, e.NoGateway)
		})
	}
}

func TestEgress_KnowsDHCP(t *testing.T) {
	ask := &layers.UDP{SrcPort: 68, DstPort: 67}
	for name, frame := range map[string][]byte{
		"discovery": sent(t, ethernet(layers.EthernetBroadcast, layers.EthernetTypeIPv4), &layers.IPv4{Version: 4, Protocol: layers.IPProtocolUDP, SrcIP: net.IPv4zero, DstIP: net.IPv4bcast}, ask),
		"renewal":   ip4(t, "10.0.2.2", layers.IPProtocolUDP, ask),
	} {
		t.Run(name, func(t *testing.T) {
			e, err := readEgress(captureOf(t, capture.FrameMax, frame))
			must.NoError(t, err)
			must.True(t, e.NoGateway)
			must.SliceEmpty(t, list(e))
		})
	}
}

func TestEgress_IsFullOfTooManyDestinations(t *testing.T) {
	var frames [][]byte
	for port := range capture.DestinationsMost + 1 {
		frames = append(frames, ip4(t, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{DstPort: layers.TCPPort(port + 1), SYN: true}))
	}
	e, err := readEgress(captureOf(t, capture.FrameMax, frames[:capture.DestinationsMost]...))
	must.NoError(t, err)
	must.False(t, e.Full)
	e, err = readEgress(captureOf(t, capture.FrameMax, frames...))
	must.NoError(t, err)
	must.True(t, e.Full)
	must.Len(t, capture.DestinationsMost, e.Destinations)
}

func TestEgress_RefusesWhatIsNoCapture(t *testing.T) {
	good := captureOf(t, capture.FrameMax, ip4(t, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{DstPort: 443, SYN: true}))
	with := func(at int, value uint32) []byte {
		out := slices.Clone(good)
		binary.LittleEndian.PutUint32(out[at:], value)
		return out
	}
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":            {nil, "it is no capture"},
		"Nomad's complaint":  {[]byte("open /a/alloc/data/oakum-egress-0.pcap: no such file or directory"), "it is no capture"},
		"long packets":       {with(16, 1<<20), "its packets have up to 1048576 bytes, want at most 256"},
		"any length":         {with(16, 0), "its packets have up to 0 bytes"},
		"another network":    {with(20, 101), "want Ethernet"},
		"beyond its length":  {with(24+8, capture.FrameMax+1), "read a packet"},
		"more than was sent": {with(24+12, 3), "read a packet"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readEgress(c.file)
			must.ErrorContains(t, err, c.want)
		})
	}
	e, err := readEgress(append(slices.Clone(good), good[24:len(good)-3]...))
	must.NoError(t, err, must.Sprint("QEMU is still writing the last packet"))
	must.Eq(t, []string{"tcp 10.9.8.7:443"}, list(e))
}

// TestSandbox_Egress reads the captures of all networks through Nomad.
func TestSandbox_Egress(t *testing.T) {
	syn := func(port layers.TCPPort) []byte {
		return ip4(t, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{DstPort: port, SYN: true})
	}
	padding := bytes.Repeat(captureOf(t, capture.FrameMax, ip4(t, "10.0.2.2", layers.IPProtocolTCP, &layers.TCP{ACK: true}, gopacket.Payload(make([]byte, 400))))[24:], 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var file []byte
		switch r.URL.Path + " " + r.FormValue("path") {
		case "/v1/client/fs/cat/a alloc/data/oakum-egress-0.pcap", "/v1/client/fs/cat/b alloc/data/oakum-egress-0.pcap":
			file = captureOf(t, capture.FrameMax, syn(443))
		case "/v1/client/fs/cat/a alloc/data/oakum-egress-1.pcap":
			file = captureOf(t, capture.FrameMax, syn(80), syn(443))
		case "/v1/client/fs/cat/b alloc/data/oakum-egress-1.pcap":
			file = captureOf(t, capture.FrameMax, syn(22))
			for len(file) < sandbox.CaptureMax {
				file = append(file, padding...)
			}
		default:
			file = []byte("no such file")
		}
		_, _ = w.Write(file) // the reader stops at its limit
	}))
	t.Cleanup(server.Close)
	client, err := nomad.New(nomad.Config{Address: server.URL})
	must.NoError(t, err)
	s := sandbox.New(client, sandbox.Options{})
	m := twin.Machine{Namespace: "prod", Job: "j", Captures: 2}

	e, err := s.Egress(t.Context(), m, "a")
	must.NoError(t, err)
	must.Eq(t, "[tcp 10.9.8.7:80 tcp 10.9.8.7:443]", fmt.Sprint(e.Destinations))
	must.False(t, e.Full)
	e, err = s.Egress(t.Context(), m, "b")
	must.NoError(t, err)
	must.True(t, e.Full)
	must.Len(t, 2, e.Destinations)
	_, err = s.Egress(t.Context(), m, "c")
	must.ErrorContains(t, err, "read oakum-egress-0 of c: it is no capture")
	must.True(t, api.IsCode(err, api.CodeUnavailable))
	_, err = s.Egress(t.Context(), twin.Machine{Job: "j"}, "a")
	must.ErrorContains(t, err, "QEMU has no captures")
	_, err = s.Egress(t.Context(), twin.Machine{Job: "j", Load: "load"}, "a")
	must.ErrorContains(t, err, "only virtual machines")
}

// FuzzEgress: whatever a guest sends, its captures are read without a panic, and what is
// kept is bounded and plain text.
func FuzzEgress(f *testing.F) {
	f.Add(ip4(f, "10.9.8.7", layers.IPProtocolTCP, &layers.TCP{DstPort: 443, SYN: true}), uint8(200))
	f.Add(ip4(f, "10.0.2.3", layers.IPProtocolUDP, &layers.UDP{DstPort: 53}, query(f, "pricing.example.", false)), uint8(255))
	f.Add(captureOf(f, capture.FrameMax, ip4(f, "10.9.8.7", layers.IPProtocolGRE)), uint8(3))
	f.Fuzz(func(t *testing.T, data []byte, most uint8) {
		_, _ = readEgress(data) // as the file itself: an error, or not
		e, err := readEgress(captureOf(t, int(most), data, data))
		must.NoError(t, err)
		must.LessEq(t, 1, len(e.Destinations))
		for _, d := range list(e) {
			must.Less(t, 400, len(d))
			must.Eq(t, fmt.Sprintf("%q", d), `"`+d+`"`)
		}
	})
}
