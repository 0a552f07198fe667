package testbed

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// Gitea is a running Gitea with an administrator and nothing else in it.
type Gitea struct {
	// URL is of plain HTTP, for who plays its administrator; a server that tests
	// talk to has TLS in front.
	URL string
	// SSH is its address for Git, HostKey its line in known_hosts.
	SSH, HostKey string
	// Admin and Password are the administrator's.
	Admin, Password string

	process *process
}

// StartGitea runs Gitea with its built-in SSH server on free ports of 127.0.0.1
// and keeps everything in dir, which the caller removes after [Gitea.Stop]. It
// is ready in two seconds on an idle machine. The process also ends with the
// test's process, where the system can see to that.
func StartGitea(t testing.TB, dir string) (*Gitea, error) {
	t.Helper()
	binary := Tool(t, "gitea")
	static, err := giteaSource(t)
	if err != nil {
		return nil, err
	}
	for range attempts {
		var g *Gitea
		if g, err = startGitea(dir, binary, static); err == nil {
			return g, nil
		}
	}
	return nil, fmt.Errorf("start Gitea: %w", err)
}

// Stop ends the server at once. It may be called again.
func (g *Gitea) Stop() error { return g.process.stop() }

// giteaSource is the folder of Gitea's module, which its templates and
// translations are read from.
func giteaSource(t testing.TB) (string, error) {
	root, err := checkout()
	if err != nil {
		return "", err
	}
	b := &build{dir: filepath.Join(root, "internal", "testbed", "gitea"), cgo: "0"}
	ctx, cancel := untilDeadline(t)
	defer cancel()
	out, err := b.goTool(ctx, "mod", "download", "-json", "code.gitea.io/gitea")
	if err != nil {
		return "", err
	}
	var mod struct{ Dir string }
	if err := json.Unmarshal([]byte(out), &mod); err != nil || mod.Dir == "" {
		return "", fmt.Errorf("the go command names no folder for Gitea's module: %w", err)
	}
	return mod.Dir, nil
}

func startGitea(dir, binary, static string) (*Gitea, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	g := &Gitea{
		URL:      "http://127.0.0.1:" + strconv.Itoa(ports[0]),
		SSH:      "127.0.0.1:" + strconv.Itoa(ports[1]),
		Admin:    "operator",
		Password: rand.Text(),
	}
	if g.HostKey, err = writeHostKey(dir, ports[1]); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "app.ini"), giteaConfig(dir, static, ports[0], ports[1]), 0o600); err != nil {
		return nil, err
	}
	flags := []string{"--work-path", dir, "--config", filepath.Join(dir, "app.ini")}
	// Git's hooks start Gitea three times a push; most of what they do is to collect
	// the garbage of their own start.
	env := []string{"GOGC=400"}
	if g.process, err = startProcessWith(env, dir, binary, append([]string{"web"}, flags...)...); err != nil {
		return nil, err
	}
	if err = g.process.until(g.answers); err == nil {
		err = g.addAdmin(dir, binary, flags)
	}
	if err != nil {
		return nil, errors.Join(err, g.Stop())
	}
	return g, nil
}

func (g *Gitea) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/api/v1/version", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not ready: %s", resp.Status)
	}
	return nil
}

// addAdmin: the first user can only be made at the command line.
func (g *Gitea) addAdmin(dir, binary string, flags []string) error {
	args := append([]string{"admin", "user", "create"}, flags...)
	cmd := exec.Command(binary, append(args, "--admin", "--must-change-password=false",
		"--username", g.Admin, "--password", g.Password, "--email", g.Admin+"@example.com")...)
	cmd.Dir, cmd.Env = dir, processEnv(dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make Gitea's administrator: %w\n%s", err, lastLines(string(out), 10))
	}
	return nil
}

// writeHostKey makes the SSH server's key, so that its line in known_hosts is
// known before it starts; Gitea's own would be RSA, which takes seconds.
func writeHostKey(dir string, port int) (knownHost string, err error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, "host.key"), pem.EncodeToMemory(block), 0o600); err != nil {
		return "", err
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("[127.0.0.1]:%d %s", port, ssh.MarshalAuthorizedKey(key)), nil
}

// giteaConfig is an installed Gitea that asks nobody on the network and does
// nothing by itself.
func giteaConfig(dir, static string, httpPort, sshPort int) []byte {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `APP_NAME = test
RUN_MODE = prod
RUN_USER = %s
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
WORK_PATH = %s

[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = %d
ROOT_URL = http://127.0.0.1:%[3]d/
STATIC_ROOT_PATH = %s
OFFLINE_MODE = true
DISABLE_SSH = false
START_SSH_SERVER = true
BUILTIN_SSH_SERVER_USER = git
SSH_DOMAIN = 127.0.0.1
SSH_LISTEN_HOST = 127.0.0.1
SSH_LISTEN_PORT = %[5]d
SSH_PORT = %[5]d
SSH_SERVER_HOST_KEYS = %[6]s
LFS_START_SERVER = false
`, name, dir, httpPort, static, sshPort, filepath.Join(dir, "host.key"))
	b.WriteString(`
[database]
DB_TYPE = sqlite3
SQLITE_JOURNAL_MODE = WAL

[security]
INSTALL_LOCK = true
PASSWORD_HASH_ALGO = pbkdf2_v1

[service]
DISABLE_REGISTRATION = true

[repository]
DEFAULT_BRANCH = main

[queue]
TYPE = channel

[indexer]
ISSUE_INDEXER_TYPE = db

[cron.update_checker]
ENABLED = false

[oauth2]
ENABLED = false

[actions]
ENABLED = false

[mirror]
ENABLED = false

[webhook]
ALLOWED_HOST_LIST = loopback

[git.config]
gc.auto = 0
maintenance.auto = false
core.fsync = none

[log]
MODE = console
LEVEL = warn
`)
	return b.Bytes()
}
