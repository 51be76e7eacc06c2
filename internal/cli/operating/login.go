package operating

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/api/client"
	"github.com/oakumhq/oakum/internal/cli/command"
	"github.com/oakumhq/oakum/internal/cli/tokenfile"
	"github.com/oakumhq/oakum/internal/cli/view"
	"github.com/oakumhq/oakum/internal/vault/login"
)

// loginFlags say how to log in.
type loginFlags struct {
	vault                               login.Config
	method, mount, role, user, identity string
	port                                int
}

func loginCommand(e *command.Env) *command.Command {
	c := command.New("login", command.None(), "Get a token from Vault and keep it", `
Logs in to Vault and keeps the token for this server in a file of yours
(~/.oakum-tokens or OAKUM_TOKEN_FILE, mode 0600). Commands use it where neither
-token nor OAKUM_TOKEN is given.

    $ oakum login -method=userpass -user=alice
    $ oakum login -method=oidc -role=oakum
    $ oakum login -method=jwt -role=pipeline < identity.jwt

With -identity, what is kept is an identity token of that role, which Vault signs:
Oakum's servers then never see your Vault token. It lives as long as the role says.`).Remote()
	var f loginFlags
	c.Flags.StringVar(&f.vault.Address, "vault-address", "", "The `address` of Vault. Default: VAULT_ADDR.")
	c.Flags.StringVar(&f.vault.CACert, "vault-ca-cert", "", "`Path` of the PEM file that signs Vault's certificate. Default: VAULT_CACERT.")
	c.Flags.StringVar(&f.vault.Namespace, "vault-namespace", "", "The `namespace` of Vault Enterprise. Default: VAULT_NAMESPACE.")
	c.Flags.StringVar(&f.method, "method", "userpass", "The `method`: userpass, ldap, jwt or oidc. Default: userpass.")
	c.Flags.StringVar(&f.mount, "path", "", "The `mount` of the method. Default: its name.")
	c.Flags.StringVar(&f.role, "role", "", "The `role` of jwt or oidc. Default: the mount's.")
	c.Flags.StringVar(&f.user, "user", "", "The `name` for userpass or ldap. The password is asked for, or read from standard input.")
	c.Flags.StringVar(&f.identity, "identity", "", "Keep an identity token of this `role` in place of the Vault token.")
	c.Flags.IntVar(&f.port, "port", 8250, "The `port` of localhost at which the browser comes back. Default: 8250.")
	c.Run = c.Asks(e, func(ctx context.Context, _ *client.Client, _ []string) error {
		token, err := f.login(ctx, e)
		if err != nil {
			return err
		}
		address := c.Address(e)
		if err := tokenfile.Of(e.Getenv).Write(address, tokenfile.Entry(token)); err != nil {
			return err
		}
		ends := "and never expires"
		if !token.Expires.IsZero() {
			ends = "until " + view.Stamp(token.Expires)
		}
		e.Printf("Kept a token for %s, %s.\n", address, ends)
		return greet(ctx, e, c)
	})
	return c
}

// greet says who the server takes the caller for.
func greet(ctx context.Context, e *command.Env, c *command.Command) error {
	cl, err := c.Dial(e)
	if err != nil {
		return err
	}
	defer cl.Close()
	by, err := cl.Identity(ctx)
	if api.IsCode(err, api.CodeUnauthenticated) || api.IsCode(err, api.CodePermissionDenied) {
		return fmt.Errorf("the server does not take the token: %w", err)
	}
	if err != nil {
		e.Warnf("The server could not be asked who you are: %v\n", err)
		return nil
	}
	capabilities := "nothing: no auth rule matches"
	if len(by.Capabilities) > 0 {
		var words []string
		for _, one := range by.Capabilities {
			words = append(words, string(one))
		}
		capabilities = strings.Join(words, ", ")
	}
	e.Printf("You are %s, and may: %s.\n", by.Name, capabilities)
	return nil
}

func (f loginFlags) login(ctx context.Context, e *command.Env) (login.Token, error) {
	f.vault.Address = cmp.Or(f.vault.Address, e.Getenv("VAULT_ADDR"))
	f.vault.CACert = cmp.Or(f.vault.CACert, e.Getenv("VAULT_CACERT"))
	f.vault.Namespace = cmp.Or(f.vault.Namespace, e.Getenv("VAULT_NAMESPACE"))
	vault, err := login.New(f.vault)
	if err != nil {
		return login.Token{}, err
	}
	token, err := f.ask(ctx, e, vault)
	if err != nil || f.identity == "" {
		return token, err
	}
	return vault.Identity(ctx, token, f.identity)
}

func (f loginFlags) ask(ctx context.Context, e *command.Env, vault *login.Client) (login.Token, error) {
	mount := cmp.Or(strings.Trim(f.mount, "/"), f.method)
	switch f.method {
	case "userpass", "ldap":
		if f.user == "" {
			return login.Token{}, command.Usage("-user: want your name")
		}
		password, err := password(e)
		if err != nil {
			return login.Token{}, err
		}
		return vault.Password(ctx, mount, f.user, password)
	case "jwt":
		jwt, err := io.ReadAll(io.LimitReader(e.Stdin, 64<<10))
		if err != nil || strings.TrimSpace(string(jwt)) == "" {
			return login.Token{}, errors.Join(command.Usage("want the token of the other issuer on standard input"), err)
		}
		return vault.JWT(ctx, mount, f.role, string(jwt))
	case "oidc":
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", f.port))
		if err != nil {
			return login.Token{}, api.Errorf(api.CodeConflict, "listen for the browser: %v; choose another -port that the role of Vault allows", err)
		}
		return vault.OIDC(ctx, mount, f.role, listener, func(address string) {
			e.Printf("Open this address in a browser:\n\n%s\n\n", address)
		})
	}
	return login.Token{}, command.Usage("-method: want userpass, ldap, jwt or oidc, have %q", f.method)
}

// password is asked for at a terminal, and else the first line of standard input.
func password(e *command.Env) (string, error) {
	if f, ok := e.Stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		e.Warnf("Password: ")
		text, err := term.ReadPassword(int(f.Fd()))
		e.Warnf("\n")
		return string(text), err
	}
	line, err := bufio.NewReader(io.LimitReader(e.Stdin, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", command.Usage("want the password on standard input")
	}
	return line, nil
}

func logoutCommand(e *command.Env) *command.Command {
	c := command.New("logout", command.None(), "Forget the token of a server", `
Forgets the token that login has kept for this server. Vault is not told: a token that
others may have seen is revoked there, by "vault token revoke".`).Remote()
	c.Run = func(context.Context, []string) error {
		address := c.Address(e)
		if err := tokenfile.Of(e.Getenv).Write(address, tokenfile.Entry{}); err != nil {
			return err
		}
		e.Printf("Forgot the token for %s.\n", address)
		return nil
	}
	return c
}
