package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/fluxcd/pkg/apis/meta"
)

// reconcileRequested is the annotation by which people ask for a look.
const reconcileRequested = meta.ReconcileRequestAnnotation

// digest is a hash of values, in hexadecimal.
func digest(values ...any) string {
	h := sha256.New()
	for _, v := range values {
		fmt.Fprintf(h, "%v\x00", v)
	}
	return hex.EncodeToString(h.Sum(nil))
}
