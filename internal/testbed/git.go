package testbed

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/cgi"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// maxGitBody bounds what is taken of one request, in bytes.
const maxGitBody = 1 << 30

// GitHandler serves the bare repositories below root as git http-backend does:
// https://HOST/OWNER/NAME.git is ROOT/OWNER/NAME.git. auth is asked for every
// request; nil serves everybody, reads and writes alike. A missing git answers
// every request with status 500 and the reason.
func GitHandler(root string, auth func(user, pass string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, pass, _ := r.BasicAuth()
		if auth != nil && !auth(user, pass) {
			w.Header().Set("WWW-Authenticate", `Basic realm="git"`)
			http.Error(w, "credentials are needed", http.StatusUnauthorized)
			return
		}
		if user == "" {
			user = "anybody"
		}
		serveGit(w, r, root, user)
	})
}

// serveGit runs git http-backend for one request, pushing in user's name.
func serveGit(w http.ResponseWriter, r *http.Request, root, user string) {
	backend, err := gitBackend()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	// net/http/cgi takes no chunked bodies, which git sends above 1 MiB.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxGitBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
	h := &cgi.Handler{
		Path: backend,
		Root: "/",
		Dir:  root,
		Env: append(gitEnv(root), "GIT_PROJECT_ROOT="+root, "GIT_HTTP_EXPORT_ALL=1",
			"REMOTE_USER="+user, "GIT_PROTOCOL="+r.Header.Get("Git-Protocol")),
		Stderr: io.Discard,
	}
	h.ServeHTTP(w, r)
}

// gitBackend is the path of git http-backend.
func gitBackend() (string, error) {
	out, err := exec.Command("git", "--exec-path").Output()
	if err != nil {
		return "", fmt.Errorf("git http-backend: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "git-http-backend"), nil
}

// gitEnv keeps the configuration of the machine and of its user out.
func gitEnv(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0", "LC_ALL=C",
	}
}
