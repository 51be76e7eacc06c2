package policies

import (
	"errors"
	"fmt"

	"github.com/oakumhq/oakum/policies/installed"
	"github.com/oakumhq/oakum/policies/lang"
)

// Installed is what is known of what is installed in a target.
type Installed = installed.Content

// explainUnknown adds to an error about what nobody knows why that is so.
func explainUnknown(i *Installed, err error) error {
	if _, unknown := errors.AsType[*lang.UnknownError](err); !unknown {
		return err
	}
	return fmt.Errorf("%w: %s", err, i.Unknown())
}
