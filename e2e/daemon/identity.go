package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/oakumhq/oakum/e2e/stack"
)

// PipelineToken logs the pipeline in to Vault by AppRole and has Vault sign who
// it is: the token that Oakum asks for.
func PipelineToken(ctx context.Context, env stack.Env) (string, error) {
	role, err := os.ReadFile(env.PipelineRoleIDFile)
	if err != nil {
		return "", fmt.Errorf("read role id: %w", err)
	}
	secret, err := os.ReadFile(env.PipelineSecretIDFile)
	if err != nil {
		return "", fmt.Errorf("read secret id: %w", err)
	}
	body := map[string]string{"role_id": strings.TrimSpace(string(role)), "secret_id": strings.TrimSpace(string(secret))}
	return identityToken(ctx, env, "/v1/auth/"+env.AppRolePath+"/login", body)
}

// UserToken is the same for a person with a password.
func UserToken(ctx context.Context, env stack.Env, user, passwordFile string) (string, error) {
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	body := map[string]string{"password": strings.TrimSpace(string(password))}
	return identityToken(ctx, env, "/v1/auth/"+env.UserpassPath+"/login/"+user, body)
}

func identityToken(ctx context.Context, env stack.Env, path string, credentials map[string]string) (string, error) {
	token, err := login(ctx, env, path, credentials)
	if err != nil {
		return "", err
	}
	var signed struct {
		Data struct {
			Token string `json:"token"`
		} `json:"data"`
	}
	if err := vault(ctx, env, http.MethodGet, "/v1/identity/oidc/token/"+env.OIDCRole, token, nil, &signed); err != nil {
		return "", err
	}
	return signed.Data.Token, nil
}

// VaultToken logs a person in and returns the Vault token itself.
func VaultToken(ctx context.Context, env stack.Env, user, passwordFile string) (string, error) {
	password, err := os.ReadFile(passwordFile)
	if err != nil {
		return "", fmt.Errorf("read password: %w", err)
	}
	body := map[string]string{"password": strings.TrimSpace(string(password))}
	return login(ctx, env, "/v1/auth/"+env.UserpassPath+"/login/"+user, body)
}

func login(ctx context.Context, env stack.Env, path string, credentials map[string]string) (string, error) {
	var answer struct {
		Auth struct {
			ClientToken string `json:"client_token"`
		} `json:"auth"`
	}
	err := vault(ctx, env, http.MethodPut, path, "", credentials, &answer)
	return answer.Auth.ClientToken, err
}

func vault(ctx context.Context, env stack.Env, method, path, token string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, env.VaultAddr+path, body)
	if err != nil {
		return fmt.Errorf("ask vault: %w", err)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask vault: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusMultipleChoices {
		text, err := io.ReadAll(res.Body)
		return fmt.Errorf("ask vault %s: status %d: %s %w", path, res.StatusCode, text, err)
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read vault's answer: %w", err)
	}
	return nil
}
