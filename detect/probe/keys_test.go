package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeyringRolls(t *testing.T) {
	k := testRing(t, testKey(1))
	for seed := byte(2); seed < 6; seed++ {
		if err := k.Roll(testKey(seed)); err != nil {
			t.Fatal(err)
		}
		keys := k.all()
		if keys[0][0] != seed || k.signing()[0] != seed {
			t.Errorf("after rolling to %d key %d signs", seed, keys[0][0])
		}
		if keys[1][0] != seed-1 || len(keys) > maxKeys {
			t.Errorf("after rolling to %d these are accepted: %v", seed, keys)
		}
	}
	if err := k.Roll(testKey(4)); err != nil {
		t.Fatal(err)
	}
	if keys := k.all(); keys[0][0] != 4 || keys[1][0] != 5 || keys[2][0] != 3 {
		t.Errorf("rolling back gives %v", keys)
	}
}

func TestKeyringOrder(t *testing.T) {
	k := testRing(t, testKey(1), testKey(2))
	if keys := k.all(); len(keys) != 2 || keys[0][0] != 1 {
		t.Errorf("the first key must sign: %v", keys)
	}
}

func TestKeysAreRefused(t *testing.T) {
	if _, err := NewKeyring(); err == nil {
		t.Error("a keyring without keys")
	}
	for _, n := range []int{0, 1, 15, 257} {
		if _, err := NewKeyring(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes", n)
		}
	}
	k := testRing(t, testKey(1))
	if err := k.Roll([]byte("short")); err == nil || k.signing()[0] != 1 {
		t.Errorf("rolled to a short key: %v", err)
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	if _, err := ReadKey(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a missing file: %v", err)
	}
	for _, content := range []string{"", "hunter2", strings.Repeat("hunter2", 100)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadKey(path)
		if err == nil || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%d bytes: %v", len(content), err)
		}
	}
	if err := os.WriteFile(path, testKey('\n'), 0o600); err != nil {
		t.Fatal(err)
	}
	if key, err := ReadKey(path); err != nil || string(key) != string(testKey('\n')) {
		t.Errorf("got %q, %v: the bytes count as they are", key, err)
	}
}
