package patching

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
)

// TestWriteFacts_IntoWhatIsNoFile: a pipe or a device stays what it is, and nothing
// takes its place.
func TestWriteFacts_IntoWhatIsNoFile(t *testing.T) {
	t.Parallel()
	reader, writer, err := os.Pipe()
	must.NoError(t, err)
	must.NoError(t, writeFacts(fmt.Sprintf("/dev/fd/%d", writer.Fd()), api.FleetFacts{Format: api.FleetFactsFormat}))
	must.NoError(t, writer.Close())
	var read api.FleetFacts
	must.NoError(t, json.NewDecoder(reader).Decode(&read))
	must.NoError(t, reader.Close())
	must.EqOp(t, api.FleetFactsFormat, read.Format)
}
