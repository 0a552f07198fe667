package testbed

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"
)

// SigningKey signs commits. Its public half is known to a git of its own.
type SigningKey struct {
	// Secret has the keys that Flux's image automation takes.
	Secret map[string][]byte
	// Public is the public key: armored OpenPGP, or a line of authorized_keys.
	Public []byte

	home   string
	config []string
}

// OpenPGPKey makes an OpenPGP key; an empty passphrase leaves it open. The gpg
// program is needed to verify with it.
func OpenPGPKey(t testing.TB, passphrase string) SigningKey {
	t.Helper()
	entity, err := openpgp.NewEntity("Remediate Test", "", "signing@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	k := SigningKey{Secret: map[string][]byte{}, home: t.TempDir(), config: []string{"gpg.format=openpgp"}}
	k.Public = armored(t, openpgp.PublicKeyType, func(w *bytes.Buffer) error { return entity.Serialize(w) })
	if passphrase != "" {
		if err := entity.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
		k.Secret["passphrase"] = []byte(passphrase)
	}
	k.Secret["git.asc"] = armored(t, openpgp.PrivateKeyType, func(w *bytes.Buffer) error {
		return entity.SerializePrivateWithoutSigning(w, nil)
	})
	return k
}

func armored(t testing.TB, kind string, write func(*bytes.Buffer) error) []byte {
	t.Helper()
	var raw, out bytes.Buffer
	if err := write(&raw); err != nil {
		t.Fatal(err)
	}
	w, err := armor.Encode(&out, kind, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// SSHSigningKey makes an SSH key; an empty passphrase leaves it open. The
// ssh-keygen program is needed to verify with it.
func SSHSigningKey(t testing.TB, passphrase string) SigningKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	k := SigningKey{Secret: map[string][]byte{}, Public: ssh.MarshalAuthorizedKey(key), home: t.TempDir()}
	block, err := marshalKey(private, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	k.Secret["identity"] = pem.EncodeToMemory(block)
	if passphrase != "" {
		k.Secret["password"] = []byte(passphrase)
	}
	allowed := filepath.Join(k.home, "allowed_signers")
	if err := os.WriteFile(allowed, append([]byte(`signing@example.com namespaces="git" `), k.Public...), 0o600); err != nil {
		t.Fatal(err)
	}
	k.config = []string{"gpg.format=ssh", "gpg.ssh.allowedSignersFile=" + allowed}
	return k
}

func marshalKey(private crypto.PrivateKey, passphrase string) (*pem.Block, error) {
	if passphrase == "" {
		return ssh.MarshalPrivateKey(private, "")
	}
	return ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
}

// VerifyCommit has git itself verify the commit's signature with this key alone.
func (k SigningKey) VerifyCommit(t testing.TB, dir, rev string) {
	t.Helper()
	if err := k.Verify(dir, rev); err != nil {
		t.Error(err)
	}
}

// Verify is nil when git verify-commit finds a good signature of this key.
func (k SigningKey) Verify(dir, rev string) error {
	env := append(gitEnv(k.home), "GNUPGHOME="+k.home)
	if _, pgp := k.Secret["git.asc"]; pgp {
		cmd := exec.Command("gpg", "--batch", "--no-autostart", "--import")
		cmd.Env, cmd.Stdin = env, bytes.NewReader(k.Public)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("gpg --import: %w\n%s", err, out)
		}
	}
	var args []string
	for _, c := range k.config {
		args = append(args, "-c", c)
	}
	cmd := exec.Command("git", append(args, "verify-commit", "--verbose", rev)...)
	cmd.Dir, cmd.Env = dir, env
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("git verify-commit %s: %w\n%s", rev, err, out)
	}
	if !strings.Contains(string(out), "Good ") {
		return fmt.Errorf("git verify-commit %s finds no good signature:\n%s", rev, out)
	}
	return nil
}
