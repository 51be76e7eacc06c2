// Package changes says what a patch changes of a target's tasks, key by key, and which keys
// a patch may change that no policy speaks of. It is pure.
//
// A key is a driver and one of its configuration keys, such as docker.image, or env and the
// name of a variable, such as env.LOG_LEVEL.
package changes

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/glob"
)

// Change is one key that a patch sets.
type Change struct {
	Task   string
	Driver string // of the task; "" when nobody knows it
	Key    string // such as docker.image or env.LOG_LEVEL
	Value  string // text as it is, anything else as JSON; "" for an image that a script makes
	Path   string // of qemu.image_path, as Nomad gets it; "" for any other key, and for an image that a script makes
}

// diskKey is the key of a virtual machine's disk.
const diskKey = "qemu.image_path"

// Unknown stands in a key for a driver that nobody knows.
const Unknown = "unknown"

// Of returns what a patch changes of a target, sorted by task and key.
func Of(apply []api.Apply, t api.Target) []Change {
	var out []Change
	for _, a := range apply {
		driver := DriverOf(t, a.Task)
		add := func(key, value, path string) {
			c := Change{Task: a.Task, Driver: driver, Key: key, Value: value}
			if key == diskKey {
				c.Path = path
			}
			out = append(out, c)
		}
		of := cmp.Or(driver, Unknown)
		switch a.Kind {
		case api.ApplyImage, api.ApplyScript:
			key := of + ".image"
			if driver == "qemu" {
				key = diskKey
			}
			add(key, cmp.Or(a.Source, a.Image), a.Image)
		case api.ApplyJob:
			for name, value := range a.Config {
				add(of+"."+name, textOf(value), textOf(value))
			}
			for name, value := range a.Env {
				add("env."+name, value, "")
			}
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Task, b.Task), cmp.Compare(a.Key, b.Key)) })
	return out
}

// DriverOf is the driver of a target's task. A target without a list of tasks has one
// driver.
func DriverOf(t api.Target, task string) string {
	for _, k := range t.Tasks {
		if k.Name == task {
			return k.Driver
		}
	}
	if len(t.Tasks) == 0 {
		return t.Driver
	}
	return ""
}

func textOf(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return "" // can't be: it was read from JSON
	}
	return string(text)
}

// Type is the type of patch.changes.
func Type() cty.Type { return cty.List(element()) }

func element() cty.Type {
	return cty.Object(map[string]cty.Type{"task": cty.String, "driver": cty.String, "key": cty.String, "value": cty.String})
}

// Value is patch.changes.
func Value(list []Change) cty.Value {
	if len(list) == 0 {
		return cty.ListValEmpty(element())
	}
	out := make([]cty.Value, len(list))
	for i, c := range list {
		out[i] = cty.ObjectVal(map[string]cty.Value{
			"task": cty.StringVal(c.Task), "driver": cty.StringVal(c.Driver), "key": cty.StringVal(c.Key), "value": cty.StringVal(c.Value),
		})
	}
	return cty.ListVal(out)
}

// Shipped are the keys that a patch may set without a policy that allows them, as globs:
// what stays inside of a task that is isolated from its node. Nothing of raw_exec is among
// them, and no key of a driver that Oakum does not know.
func Shipped() []string {
	return []string{
		"docker.args", "docker.command", "docker.entrypoint", "docker.force_pull", "docker.image", "docker.image_pull_timeout", "docker.init",
		"docker.work_dir",
		"exec.args", "exec.command", "exec.work_dir",
		"java.args", "java.class", "java.class_path", "java.jar_path", "java.jvm_options", "java.work_dir",
		"podman.args", "podman.command", "podman.entrypoint", "podman.force_pull", "podman.image", "podman.image_pull_timeout", "podman.init",
		"podman.working_dir",
		diskKey,
		"env.*",
	}
}

// loaders are variables by which a loader, a shell or an interpreter runs other code than
// the image's own: env.* of Shipped does not mean them.
func loaders() []string {
	return []string{
		"LD_*", "DYLD_*", "GCONV_PATH", "GLIBC_TUNABLES", "LOCPATH", "NLSPATH", "PATH", "IFS", "ENV", "PS4", "PROMPT_COMMAND", "SHELLOPTS",
		"PYTHON*", "PERL5*", "PERLLIB", "RUBY*", "GEM_*", "NODE_OPTIONS", "NODE_PATH", "_JAVA_OPTIONS", "JDK_*", "CLASSPATH",
		"BASH_*", "ERL_*", "GIT_*", "HOME", "JAVA_*", "LESSOPEN", "MAVEN_OPTS", "PAGER", "SHELL", "XDG_*", "ZDOTDIR", // where they find their files, or start others
		"PHP_INI_SCAN_DIR", "PHPRC", "LUA_*", "OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES", "SSLKEYLOGFILE", "CORECLR_*", "COR_*", "DOTNET_*", "GODEBUG",
	}
}

// Allowed reports whether a key may be set without a policy that allows it.
func Allowed(key string) bool {
	if name, ok := strings.CutPrefix(key, "env."); ok {
		// Nomad puts an underscore for what can't stand in a name: LD-PRELOAD is LD_PRELOAD.
		return plainName(name) && !MatchesAny(loaders(), name)
	}
	return MatchesAny(Shipped(), key)
}

// plainDisk reports whether a disk is one file below a path, for Nomad and for QEMU alike.
// QEMU takes what follows a comma for further options, of which the last file counts, and
// what is before a colon for a protocol, such as fat:rw:/etc. Nomad, which lets a task have
// files of its own folder and of folders that the client names, sees a file's name there,
// and looks before what is in ${...} is filled in.
func plainDisk(path string) bool {
	return (strings.HasPrefix(path, "/") || strings.HasPrefix(path, "local/")) && !strings.ContainsAny(path, ",$%")
}

// fine reports whether a change needs no policy that allows it.
func fine(c Change) bool {
	return Allowed(c.Key) && (c.Path == "" || plainDisk(c.Path))
}

// denied reports whether globs mean a key, or the variable that Nomad makes of it.
func denied(globs []string, key string) bool {
	if name, ok := strings.CutPrefix(key, "env."); ok && MatchesAny(globs, "env."+asSet(name)) {
		return true
	}
	return MatchesAny(globs, key)
}

// asSet is the name that Nomad sets a variable by: an underscore stands for what can't be in
// a name.
func asSet(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '_'
	}, name)
}

// plainName reports whether a name of a variable is one everywhere.
func plainName(name string) bool {
	return name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_") == "" && (name[0] < '0' || name[0] > '9')
}

// MatchesAny reports whether a key matches one of the globs.
func MatchesAny(globs []string, key string) bool {
	return slices.ContainsFunc(globs, func(g string) bool { return glob.Match(key, g) })
}

// Rule is what one policy says of the keys that a patch may set, as globs.
type Rule struct {
	Policy      string
	At          string // file:line,column
	Allow, Deny []string
}

// Judge returns why a patch may not set what it sets, with the code permission_denied, and
// otherwise calls because with each rule that allowed a key which is not Allowed by itself,
// or a disk that is no plain path.
// Of several rules, all must allow such a key, and none may deny any.
func Judge(list []Change, rules []Rule, because func(r Rule, c Change)) error {
	for _, c := range list {
		for _, r := range rules {
			if denied(r.Deny, c.Key) {
				return refused(c, fmt.Sprintf("policy %q denies it (%s)", r.Policy, r.At))
			}
		}
		if fine(c) {
			continue
		}
		if len(rules) == 0 && c.Path != "" {
			return refused(c, fmt.Sprintf("the disk %q is no plain path, absolute or below local/; no policy allows another: changes { allow = [%q] } would", c.Path, c.Key))
		}
		if len(rules) == 0 {
			return refused(c, fmt.Sprintf("no policy allows it: changes { allow = [%q] } would", c.Key))
		}
		for _, r := range rules {
			if !MatchesAny(r.Allow, c.Key) {
				return refused(c, fmt.Sprintf("policy %q does not allow it (%s)", r.Policy, r.At))
			}
			because(r, c)
		}
	}
	return nil
}

func refused(c Change, why string) error {
	return api.Errorf(api.CodePermissionDenied, "the patch sets %s of task %s, and %s", c.Key, c.Task, why)
}

// Check refuses a list of globs in which one can't be of a key.
func Check(globs cty.Value) error {
	for it := globs.ElementIterator(); it.Next(); {
		_, e := it.Element()
		if err := checkKey(e.AsString()); err != nil {
			return err
		}
	}
	return nil
}

func checkKey(key string) error {
	if of, name, ok := strings.Cut(key, "."); !ok || of == "" || name == "" || strings.ContainsAny(key, " \t\n") {
		return fmt.Errorf("%q is no key: want a driver and a key of its configuration such as \"docker.volumes\", or \"env.NAME\"; * is any characters", key)
	}
	return nil
}

// CheckExample refuses the keys of an example of which one can't be set.
func CheckExample(values cty.Value) error {
	for it := values.ElementIterator(); it.Next(); {
		key, _ := it.Element()
		if err := checkKey(key.AsString()); err != nil {
			return err
		}
	}
	return nil
}

// Example returns what sets the keys of an example, and a task for each of their drivers.
func Example(values map[string]cty.Value) (apply []api.Apply, tasks []api.Task) {
	for _, key := range slices.Sorted(maps.Keys(values)) {
		of, name, _ := strings.Cut(key, ".")
		a := api.Apply{Kind: api.ApplyJob, Task: of}
		if of == "env" {
			a.Env = map[string]string{name: values[key].AsString()}
		} else {
			a.Config = map[string]any{name: values[key].AsString()}
			tasks = append(tasks, api.Task{Name: of, Driver: of})
		}
		apply = append(apply, a)
	}
	return apply, tasks
}
