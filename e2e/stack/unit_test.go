package stack

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/shoenig/test/must"
)

func TestPorts_offsetsNeverCollide(t *testing.T) {
	taken := map[int]int{}
	for offset := 0; offset <= offsetMax; offset += offsetStep {
		for _, port := range append(PortsAt(offset).tcp(clientsMax), 4740+offset, 4741+offset) {
			other, twice := taken[port]
			must.False(t, twice, must.Sprintf("port %d belongs to the offsets %d and %d", port, other, offset))
			must.Less(t, taskPortBase, port)
			taken[port] = offset
		}
	}
}

func TestOptions_complete(t *testing.T) {
	for _, bad := range []Options{
		{},
		{Dir: "x", PortOffset: 50},
		{Dir: "x", PortOffset: -offsetStep},
		{Dir: "x", PortOffset: offsetMax + offsetStep},
		{Dir: "x", Clients: -1},
		{Dir: "x", Clients: clientsMax + 1},
	} {
		_, err := bad.complete()
		must.Error(t, err)
	}
	good, err := Options{Dir: "x"}.complete()
	must.NoError(t, err)
	must.True(t, filepath.IsAbs(good.Dir))
	must.Eq(t, 1, good.Clients)
	must.Eq(t, filepath.Join(".stack", "bin"), mustRel(t, good.BinDir))
}

func mustRel(t *testing.T, path string) string {
	t.Helper()
	root, err := RepositoryRoot()
	must.NoError(t, err)
	rel, err := filepath.Rel(root, path)
	must.NoError(t, err)
	return rel
}

func TestReserve_twice(t *testing.T) {
	first, unlock, err := reserve(AnyOffset, 1)
	must.NoError(t, err)
	defer unlock()
	second, unlockSecond, err := reserve(AnyOffset, 1)
	must.NoError(t, err)
	defer unlockSecond()
	must.NotEq(t, first, second)
	_, _, err = reserve(first, 1)
	must.ErrorContains(t, err, "another stack starts")
}

// A stack that can't start leaves nothing but the logs of an earlier one.
func TestTidy(t *testing.T) {
	fresh := filepath.Join(t.TempDir(), "run")
	folders := func() {
		for _, sub := range []string{configDir, dataDir, logDir, secretsDir, targetsDir} {
			must.NoError(t, os.MkdirAll(filepath.Join(fresh, sub), 0o755))
		}
	}
	folders()
	must.NoError(t, tidy(t.Context(), fresh))
	must.DirNotExists(t, fresh)

	folders()
	log := filepath.Join(fresh, logDir, "consul.log")
	must.NoError(t, os.WriteFile(log, []byte("panic"), 0o644))
	must.NoError(t, tidy(t.Context(), fresh))
	must.FileExists(t, log)
	must.DirNotExists(t, filepath.Join(fresh, configDir))
}

func TestOpen_saysHowToStartOne(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(dir)
	must.EqError(t, err, "open stack: there is none in "+dir+": start one (stack up -dir="+dir+")")
	must.NoError(t, os.WriteFile(filepath.Join(dir, describedIn), []byte("{"), 0o600))
	_, err = Open(dir)
	must.ErrorContains(t, err, "stack.json: unexpected end of JSON input: end what is left of it (stack down -dir="+dir+")")
}

func TestCheckBinaries_oneSentence(t *testing.T) {
	o := Options{BinDir: t.TempDir()}
	for _, name := range []string{"consul", "vault", "nomad"} {
		must.NoError(t, os.WriteFile(filepath.Join(o.BinDir, name), nil, 0o755))
	}
	must.EqError(t, o.checkBinaries(), o.BinDir+" is without statsd_exporter, prometheus: run make stack")
}

func TestEnv_roundTrip(t *testing.T) {
	want := Env{Dir: "/a b/it's", NomadAddr: "http://127.0.0.1:4646", NomadToken: "secret", EvePasswordFile: "/e"}
	path := filepath.Join(t.TempDir(), "sub", "env")
	must.NoError(t, want.WriteEnv(path))
	info, err := os.Stat(path)
	must.NoError(t, err)
	must.Eq(t, 0o600, info.Mode().Perm())
	got, err := ReadEnv(path)
	must.NoError(t, err)
	must.Eq(t, "", cmp.Diff(want, got))
	for name := range want.Map() {
		must.NotEq(t, "", name)
	}
}

func TestReadEnv_badLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "env")
	must.NoError(t, os.WriteFile(path, []byte("export A='1'\nnonsense\n"), 0o600))
	_, err := ReadEnv(path)
	must.ErrorContains(t, err, "env:2:")
}

func TestTargetOf(t *testing.T) {
	const alloc = "4fd96ee8-60d9-f5b7-e92f-e6606427a0a0"
	got := targetOf(service{
		ID: "_nomad-task-" + alloc + "-group-api-cart-http", Service: "cart", Address: "127.0.0.1", Port: 20001,
		Meta: map[string]string{"oakum_job": "cart", "oakum_group": "api", "oakum_namespace": "default"},
	})
	want := target{Targets: []string{"127.0.0.1:20001"}, Labels: map[string]string{
		"service": "cart", "service_id": "_nomad-task-" + alloc + "-group-api-cart-http", "alloc_id": alloc,
		"job_name": "cart", "group": "api", "namespace": "default",
	}}
	must.Eq(t, "", cmp.Diff(want, got))
	for _, id := range []string{"", "cart-1", "_nomad-task-short", "_nomad-task-" + alloc} {
		must.Eq(t, "", allocOf(id))
	}
}

func TestProcess_endAndIdentity(t *testing.T) {
	dir := t.TempDir()
	p, err := launch([]string{"/bin/sleep", "600"}, dir, filepath.Join(dir, "log"), nil)
	must.NoError(t, err)
	must.True(t, p.alive())
	impostor := &process{PID: p.PID, Started: p.Started + 1}
	must.False(t, impostor.alive())
	must.NoError(t, impostor.end(context.Background(), 9)) // nothing to end
	must.True(t, p.alive())
	must.NoError(t, p.end(context.Background(), 9))
	must.False(t, p.alive())
}

func TestSweep_findsByDirectoryAndEnvironment(t *testing.T) {
	dir := t.TempDir()
	must.NoError(t, os.MkdirAll(filepath.Join(dir, dataDir, "x"), 0o755))
	byCwd, err := launch([]string{"/bin/sleep", "600"}, filepath.Join(dir, dataDir, "x"), filepath.Join(dir, "log"), nil)
	must.NoError(t, err)
	other, err := launch([]string{"/bin/sleep", "600"}, t.TempDir(), filepath.Join(dir, "log"), nil)
	must.NoError(t, err)
	t.Cleanup(func() { must.NoError(t, other.end(context.Background(), 9)) })

	must.NoError(t, sweepProcesses(t.Context(), dir))
	must.False(t, byCwd.alive())
	must.True(t, other.alive())
}
