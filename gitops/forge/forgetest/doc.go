// Package forgetest holds every forge to the same behaviour.
package forgetest
