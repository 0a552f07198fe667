package repo

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/fluxcd/pkg/git/signature"
	"github.com/go-git/go-git/v5"
)

// SigningSecret are the keys that Flux's image automation signs with: git.asc
// and passphrase, or identity and password.
type SigningSecret map[string][]byte

// Signer reads the key. It is nil for a nil Secret. Errors name keys of the
// Secret, never values.
func (s SigningSecret) Signer() (git.Signer, error) {
	pgp, ssh := s["git.asc"], s["identity"]
	switch {
	case s == nil:
		return nil, nil
	case len(pgp) > 0 && len(ssh) > 0:
		return nil, errors.New("Secret with the signing key: it has both git.asc (OpenPGP) and identity (SSH); keep one of them")
	case len(pgp) > 0:
		return openPGP(pgp, s["passphrase"])
	case len(ssh) > 0:
		return sshSigner(ssh, s["password"])
	}
	return nil, errors.New("Secret with the signing key: it has neither git.asc, an armored OpenPGP private key, nor identity, an SSH private key")
}

func openPGP(armored, passphrase []byte) (git.Signer, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(armored))
	if err != nil {
		return nil, fmt.Errorf("Secret with the signing key: git.asc is not an armored OpenPGP key: %w", err)
	}
	for _, e := range ring {
		if e.PrivateKey == nil {
			continue
		}
		if err := unlock(e, passphrase); err != nil {
			return nil, err
		}
		return signature.NewOpenPGPSigner(e)
	}
	return nil, errors.New("Secret with the signing key: git.asc has no private key, only public ones; export it with gpg --export-secret-keys --armor")
}

// unlock decrypts a key and those that belong to it.
func unlock(e *openpgp.Entity, passphrase []byte) error {
	locked := e.PrivateKey.Encrypted
	for _, sub := range e.Subkeys {
		locked = locked || sub.PrivateKey != nil && sub.PrivateKey.Encrypted
	}
	if !locked {
		return nil
	}
	if len(passphrase) == 0 {
		return errors.New("Secret with the signing key: git.asc is locked and there is no key passphrase")
	}
	if err := e.DecryptPrivateKeys(passphrase); err != nil {
		return errors.New("Secret with the signing key: passphrase does not open git.asc")
	}
	return nil
}

func sshSigner(identity, password []byte) (git.Signer, error) {
	signer, err := signature.NewSSHSigner(identity, password)
	switch {
	case errors.Is(err, signature.ErrSSHPassphraseRequired):
		return nil, errors.New("Secret with the signing key: identity is locked and there is no key password")
	case err != nil && len(password) > 0:
		return nil, fmt.Errorf("Secret with the signing key: identity cannot be read; does password open it? %w", err)
	case err != nil:
		return nil, fmt.Errorf("Secret with the signing key: identity cannot be read: %w", err)
	}
	return signer, nil
}
