package host_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-plugin"
	"github.com/shoenig/test/must"
	"google.golang.org/grpc"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/wait"
	"github.com/oakumhq/oakum/plugins/builtin/phased"
	"github.com/oakumhq/oakum/plugins/host"
	"github.com/oakumhq/oakum/plugins/sdk"
)

// faultVariable makes this test binary a plugin that misbehaves.
const faultVariable = "OAKUM_TEST_FAULT"

func TestMain(m *testing.M) {
	fault := os.Getenv(faultVariable)
	switch fault {
	case "":
		os.Exit(m.Run())
	case "too new":
		plugin.Serve(&plugin.ServeConfig{
			HandshakeConfig:  sdk.Handshake(),
			VersionedPlugins: map[int]plugin.PluginSet{2: {sdk.PluginName: newer{}}},
			GRPCServer:       plugin.DefaultGRPCServer,
		})
	case "mute":
		select {}
	default:
		sdk.Serve(faulty{fault: fault})
	}
}

type newer struct{ plugin.NetRPCUnsupportedPlugin }

func (newer) GRPCServer(*plugin.GRPCBroker, *grpc.Server) error { return nil }

func (newer) GRPCClient(context.Context, *plugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, nil
}

// faulty is phased with one fault.
type faulty struct {
	phased.Strategy
	fault string
}

func (f faulty) Describe() sdk.Description {
	d := f.Strategy.Describe()
	d.Name = "faulty"
	if f.fault == "bad schema" {
		d.Schema.Attributes[0].Type = "map"
	}
	return d
}

func (f faulty) Advise(ctx context.Context, view api.StrategyView) (api.Advice, error) {
	switch f.fault {
	case "crash":
		os.Exit(3)
	case "panic":
		panic("at the disco") //nolint:forbidigo // the fault under test
	case "hang":
		select {}
	case "freeze": // the whole process, so that it doesn't even answer a shutdown
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {} // another thread may take the signal, and stop this one a moment later
	case "lie":
		return api.Advice{Action: api.AdviceStage, Percent: 250, Mode: api.StageInPlace, Reason: "all and more"}, nil
	case "pid":
		return api.Advice{Action: api.AdviceHold, Reason: strconv.Itoa(os.Getpid())}, nil
	case "environment":
		return api.Advice{Action: api.AdviceHold, Reason: "sees " + os.Getenv("OAKUM_TEST_SECRET")}, nil
	}
	return f.Strategy.Advise(ctx, view)
}

// plugin with the given fault: a script that starts this test binary.
func faultyPlugin(t *testing.T, fault string) host.Config {
	t.Helper()
	self, err := os.Executable()
	must.NoError(t, err)
	path := filepath.Join(t.TempDir(), "plugin")
	script := fmt.Sprintf("#!/bin/sh\n%s='%s' exec '%s'\n", faultVariable, fault, self)
	must.NoError(t, os.WriteFile(path, []byte(script), 0o755))
	sum := sha256.Sum256([]byte(script))
	return host.Config{Name: "faulty", Path: path, SHA256: hex.EncodeToString(sum[:])}
}

// silence is how long the host waits for a plugin that will never answer.
const silence = 500 * time.Millisecond

// withFault has one that answers late, on a machine that is busy, be waited for.
func withFault(t *testing.T, fault string) *host.Host {
	t.Helper()
	o := host.Options{
		Plugins: []host.Config{faultyPlugin(t, fault)}, AdviseTimeout: time.Minute, StartTimeout: time.Minute, BackoffMin: 50 * time.Millisecond,
	}
	if fault == "hang" || fault == "freeze" {
		o.AdviseTimeout = silence
	}
	return newHost(t, o)
}

// faultyInfo is what the host says about the plugin under test.
func faultyInfo(t *testing.T, h *host.Host) api.PluginInfo {
	t.Helper()
	for _, info := range h.List() {
		if info.Name == "faulty" {
			return info
		}
	}
	t.Fatal("the host doesn't list the plugin")
	return api.PluginInfo{}
}

func TestExternal_FaultsAreErrorsOfTheCall(t *testing.T) {
	cases := map[string]struct {
		code    api.ErrorCode
		text    string
		healthy bool // afterwards
	}{
		"crash":  {api.CodeUnavailable, "the plugin's process ended", false},
		"panic":  {api.CodeInternal, "strategy panicked: at the disco", true},
		"hang":   {api.CodeTimeout, "strategy did not answer in time", false},
		"freeze": {api.CodeTimeout, "strategy did not answer in time", false},
		"lie":    {api.CodeInvalid, "proposes a stage of 250 percent", true},
	}
	for fault, c := range cases {
		t.Run(fault, func(t *testing.T) {
			h := withFault(t, fault)
			must.True(t, faultyInfo(t, h).Healthy)
			began := time.Now()
			_, err := h.Advise(t.Context(), "faulty", start(`{}`))
			must.Error(t, err)
			must.StrContains(t, err.Error(), c.text)
			must.Eq(t, c.code, api.AsError(err).Code)
			must.Less(t, 20*time.Second, time.Since(began))
			info := faultyInfo(t, h)
			must.Eq(t, c.healthy, info.Healthy, must.Sprintf("error: %s", info.Error))
			must.Eq(t, c.healthy, info.Error == "")
		})
	}
}

func TestExternal_ThatDoesNotStartIsListedWithTheReason(t *testing.T) {
	cases := map[string]string{
		"too new":    "incompatible API version",
		"bad schema": `schema: attribute "stages": type "map"`,
	}
	for fault, want := range cases {
		t.Run(fault, func(t *testing.T) {
			h := withFault(t, fault)
			info := faultyInfo(t, h)
			must.False(t, info.Healthy)
			must.StrContains(t, strings.ToLower(info.Error), strings.ToLower(want))
			_, ok := h.Schema("faulty")
			must.False(t, ok)
		})
	}
}

func TestExternal_ThatSaysNothingIsGivenUp(t *testing.T) {
	c := faultyPlugin(t, "mute")
	began := time.Now()
	h := newHost(t, host.Options{Plugins: []host.Config{c}, StartTimeout: silence})
	must.Less(t, 20*time.Second, time.Since(began))
	// On a busy machine its process may not even have come up by then.
	must.RegexMatch(t, regexp.MustCompile("did not answer in time|timeout while waiting for plugin to start"), faultyInfo(t, h).Error)
}

func TestExternal_WrongChecksumIsNotStarted(t *testing.T) {
	c := faultyPlugin(t, "pid")
	c.SHA256 = strings.Repeat("0", 64)
	h := newHost(t, host.Options{Plugins: []host.Config{c}})
	must.Eq(t, "checksum of "+c.Path+" is not the pinned one: it is not started", faultyInfo(t, h).Error)
	_, err := h.Advise(t.Context(), "faulty", start(`{}`))
	must.StrContains(t, err.Error(), "is not the pinned one")
}

// TestExternal_KilledIsStartedAgain kills the process between two calls.
func TestExternal_KilledIsStartedAgain(t *testing.T) {
	h := withFault(t, "pid")
	first, err := h.Advise(t.Context(), "faulty", start(`{}`))
	must.NoError(t, err)
	pid, err := strconv.Atoi(first.Reason)
	must.NoError(t, err)
	must.NoError(t, syscall.Kill(pid, syscall.SIGKILL))

	again := eventually(t, h)
	must.NotEq(t, first.Reason, again.Reason)
	must.True(t, faultyInfo(t, h).Healthy)
}

// eventually asks until there is advice.
func eventually(t *testing.T, h *host.Host) (advice api.Advice) {
	t.Helper()
	var err error
	wait.Within(t, wait.Patience, func() string { return fmt.Sprint("there is advice, last: ", err) }, func() bool {
		advice, err = h.Advise(t.Context(), "faulty", start(`{}`))
		return err == nil
	})
	return advice
}

func TestExternal_PausesBetweenStarts(t *testing.T) {
	c := faultyPlugin(t, "crash")
	h := newHost(t, host.Options{Plugins: []host.Config{c}, BackoffMin: time.Hour})
	_, err := h.Advise(t.Context(), "faulty", start(`{}`))
	must.StrContains(t, err.Error(), "the plugin's process ended")
	_, err = h.Advise(t.Context(), "faulty", start(`{}`))
	must.StrContains(t, err.Error(), "not started again for ")
}

func TestExternal_DoesNotSeeTheEnvironment(t *testing.T) {
	t.Setenv("OAKUM_TEST_SECRET", "s3cret")
	h := withFault(t, "environment")
	advice, err := h.Advise(t.Context(), "faulty", start(`{}`))
	must.NoError(t, err)
	must.Eq(t, "sees ", advice.Reason)
}

func TestExternal_CallerThatLeavesDoesNotKillIt(t *testing.T) {
	h := newHost(t, host.Options{Plugins: []host.Config{faultyPlugin(t, "hang")}, AdviseTimeout: time.Minute, StartTimeout: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), silence)
	defer cancel()
	_, err := h.Advise(ctx, "faulty", start(`{}`))
	must.Error(t, err)
	must.True(t, faultyInfo(t, h).Healthy)
}

func TestClose_LeavesNoProcess(t *testing.T) {
	c := faultyPlugin(t, "pid")
	h, err := host.New(t.Context(), host.Options{Plugins: []host.Config{c}})
	must.NoError(t, err)
	advice, err := h.Advise(t.Context(), "faulty", start(`{}`))
	must.NoError(t, err)
	must.NoError(t, h.Close())
	pid, err := strconv.Atoi(advice.Reason)
	must.NoError(t, err)
	must.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH)
	_, err = h.Advise(t.Context(), "faulty", start(`{}`))
	must.StrContains(t, err.Error(), "closed")
}

// buildExample builds the strategy that a third party would write.
func buildExample(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "one-per-node")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", out, ".")
	cmd.Dir = filepath.Join("..", "..", "examples", "plugins", "one-per-node")
	text, err := cmd.CombinedOutput()
	must.NoError(t, err, must.Sprintf("go build: %s", text))
	return out
}

func TestVerify_ExampleConforms(t *testing.T) {
	path := buildExample(t)
	info, results, err := host.Verify(t.Context(), path)
	must.NoError(t, err)
	must.Eq(t, "one_per_node", info.Name)
	must.Eq(t, 1, info.Protocol)
	for _, r := range results {
		must.True(t, r.Passed, must.Sprintf("%s: %s", r.Check, r.Detail))
	}
	must.Len(t, 6, results)

	// What Verify printed is what a configuration pins.
	h := newHost(t, host.Options{Plugins: []host.Config{{Name: info.Name, Path: info.Path, SHA256: info.SHA256}}})
	view := start(`{"per_node":2}`)
	view.Instances = []api.Instance{{Node: "a"}, {Node: "b"}}
	advice, err := h.Advise(t.Context(), info.Name, view)
	must.NoError(t, err)
	must.Eq(t, 40, advice.Percent)
	schema, ok := h.Schema(info.Name)
	must.True(t, ok)
	must.Eq(t, json.RawMessage(`1`), schema.Attributes[0].Default)
}

func TestVerify_WhatIsNoPlugin(t *testing.T) {
	_, _, err := host.Verify(t.Context(), "/bin/true")
	must.ErrorContains(t, err, "start /bin/true")
	_, _, err = host.Verify(t.Context(), filepath.Join(t.TempDir(), "none"))
	must.ErrorIs(t, err, os.ErrNotExist)
}
