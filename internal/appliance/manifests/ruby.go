package manifests

import (
	"os"
	"path"
	"strings"
)

// isGem reports whether RubyGems has written a file about a gem that it has installed.
func isGem(name string) bool {
	return path.Ext(name) == ".gemspec" && (under(name, "specifications") || under(name, "default") && under(path.Dir(name), "specifications"))
}

// gemspec reads the line that RubyGems reads too, so that it need not run the rest:
// "# stub: NAME VERSION PLATFORM PATHS".
func (r *reader) gemspec(name string, file *os.File) error {
	content, ok, err := r.small(gem, name, file)
	if err != nil || !ok {
		return err
	}
	for line := range strings.Lines(string(content)) {
		if stub, found := strings.CutPrefix(line, "# stub: "); found {
			if fields := strings.Fields(stub); len(fields) >= 3 {
				r.add(gem, name, "", fields[0], fields[1])
				return nil
			}
		}
	}
	r.skip(gem, name, "it does not say by a stub which gem it is of")
	return nil
}

// isGitGem reports whether a file is about a gem that Bundler has taken from a repository.
func isGitGem(name string) bool {
	return path.Ext(name) == ".gemspec" && strings.Contains("/"+name, "/bundler/gems/")
}

func (r *reader) gitGem(name string, _ *os.File) error {
	r.skip(gem, name, "it is of a gem from a repository, whose version is that of a commit")
	return nil
}
