package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/nomad"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/capture"
	"github.com/oakumhq/oakum/internal/nomad/sandbox/qemu"
	"github.com/oakumhq/oakum/internal/twin"
)

// QEMU writes what a machine sends into files of the allocation, one for each network.
// The guest can't write to them but by sending.
const (
	// captureObject is the kind of QEMU's object that writes them.
	captureObject = "filter-dump"
	// CaptureMax is how large a capture may grow, in bytes. The machine's answers to its
	// load are in it as well, with the first bytes of each packet.
	CaptureMax = 64 << 20
)

// captureName is the name of a network's capture: of QEMU's object, and of the file.
func captureName(i int) string { return fmt.Sprintf("oakum-egress-%d", i) }

// captures are the arguments by which QEMU keeps what a machine sends to its networks,
// and nothing of what the machine receives.
func captures(networks []string) []string {
	var args []string
	for i, id := range networks {
		name := captureName(i)
		args = append(args, "-object", fmt.Sprintf("%s,id=%s,netdev=%s,queue=rx,maxlen=%d,file=%s/%s.pcap", captureObject, name, id, capture.FrameMax, qemu.Folder, name))
	}
	return args
}

// Egress reads what a twin's machine has tried to reach so far. It returns an error when
// that is not known.
func (s *Sandbox) Egress(ctx context.Context, m twin.Machine, alloc string) (twin.Egress, error) {
	if m.Load != "" {
		return twin.Egress{}, api.Errorf(api.CodeInvalid, "only virtual machines are observed")
	}
	if m.Captures == 0 {
		return twin.Egress{}, api.Errorf(api.CodeUnavailable, "QEMU has no captures")
	}
	ctx, cancel := context.WithTimeout(ctx, nomad.CallTimeout)
	defer cancel()
	found := capture.New()
	for i := range m.Captures {
		if err := s.readCapture(ctx, m, alloc, captureName(i), found); err != nil {
			return twin.Egress{}, err
		}
	}
	return found.Egress(), nil
}

// readCapture reads one capture. The call goes through the servers, as in readFile.
func (s *Sandbox) readCapture(ctx context.Context, m twin.Machine, alloc, name string, found *capture.Found) error {
	q := s.nomad.Query(ctx, m.Namespace)
	q.Params = map[string]string{"path": "alloc/data/" + name + ".pcap"}
	file, err := s.api.Raw().Response("/v1/client/fs/cat/"+alloc, q)
	if err != nil {
		return nomad.Explain("read "+name+" of "+alloc, err)
	}
	// QEMU stops soon after the limit, so a capture that reaches it lacks something.
	limited := &io.LimitedReader{R: file, N: CaptureMax}
	err = found.Read(limited)
	found.Full = found.Full || limited.N <= 0
	if closed := file.Close(); !found.Full { // what is left of a full one is not read
		err = cmp.Or(err, closed)
	}
	if err != nil {
		return errors.Join(api.Errorf(api.CodeUnavailable, "read %s of %s: %v", name, alloc, err), ctx.Err())
	}
	return nil
}
