package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

const (
	minKey = 16
	maxKey = 256
	// maxKeys are the keys that a message may be signed with: the present one and
	// those that it replaced while the Secret was being rolled out.
	maxKeys = 3
)

// Keyring holds the shared keys. The first signs; every one of them is accepted,
// so that probes go on talking while the kubelets carry a new key from node to
// node. Its methods may be called at the same time.
type Keyring struct {
	mu   sync.RWMutex
	keys [][]byte
}

// NewKeyring is a keyring of keys, each 16 to 256 bytes long. The first signs.
func NewKeyring(keys ...[]byte) (*Keyring, error) {
	if len(keys) == 0 {
		return nil, errors.New("no shared key: the probes' Secret must hold one")
	}
	k := &Keyring{}
	for i := range keys {
		if err := k.Roll(keys[len(keys)-1-i]); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Roll signs with key from now on and still accepts those before it, the oldest
// of which is forgotten when there are more than two.
func (k *Keyring) Roll(key []byte) error {
	if len(key) < minKey || len(key) > maxKey {
		return fmt.Errorf("a shared key has %d to %d bytes, this one %d", minKey, maxKey, len(key))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	keys := [][]byte{bytes.Clone(key)}
	for _, old := range k.keys {
		if !bytes.Equal(old, key) && len(keys) < maxKeys {
			keys = append(keys, old)
		}
	}
	k.keys = keys
	return nil
}

// all are the keys; the slice is never written to.
func (k *Keyring) all() [][]byte {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.keys
}

func (k *Keyring) signing() []byte { return k.all()[0] }

// ReadKey reads a key as the kubelet writes it from a Secret: the file's bytes as
// they are. The errors name the file and never its content.
func ReadKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the shared key: %w", err)
	}
	defer f.Close()
	key, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read the shared key: %w", err)
	}
	if len(key) < minKey || len(key) > maxKey {
		return nil, fmt.Errorf("%s is no shared key: it should have %d to %d bytes", path, minKey, maxKey)
	}
	return key, nil
}
