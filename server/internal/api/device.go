package api

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/merlonhq/merlon/server/module"
)

// DeviceCookie is the name of the cookie that tells a browser that has logged in
// to an account before (OWASP, "Slow Down Online Guessing Attacks with Device
// Cookies"). It is no credential: it opens nothing. With it failed logins count
// for the account on this device alone, so that strangers who guess cannot lock
// the owner out.
const DeviceCookie = "__Host-merlon_device"

const (
	deviceLife  = 180 * 24 * time.Hour
	deviceNonce = 16
	deviceTime  = 8
)

// Devices makes and reads device cookies. It does not change after [NewDevices].
type Devices struct {
	keys [][]byte // the first one signs
}

// NewDevices returns the devices of a secret; those of former secrets are still read.
func NewDevices(secrets ...[]byte) (*Devices, error) {
	d := &Devices{}
	for _, secret := range secrets {
		key, err := hkdf.Key(sha256.New, secret, nil, "merlon device cookie hmac-sha256 v1", sha256.Size)
		if err != nil {
			return nil, err
		}
		d.keys = append(d.keys, key)
	}
	return d, nil
}

// deviceText is strict, so that each cookie has one spelling.
var deviceText = base64.RawURLEncoding.Strict()

// issue returns the value of a new cookie for a browser that has logged in to the account.
func (d *Devices) issue(account string, now time.Time) string {
	body := make([]byte, deviceNonce+deviceTime, deviceNonce+deviceTime+sha256.Size)
	_, _ = rand.Read(body[:deviceNonce]) // never fails, see crypto/rand
	binary.BigEndian.PutUint64(body[deviceNonce:], uint64(now.Unix()))
	return deviceText.EncodeToString(append(body, sign(d.keys[0], account, body)...))
}

// known returns the id of the device whose cookie has the value, if it was issued
// for the account and is not too old.
func (d *Devices) known(value, account string, now time.Time) (id string, ok bool) {
	raw, err := deviceText.DecodeString(value)
	if err != nil || len(raw) != deviceNonce+deviceTime+sha256.Size {
		return "", false
	}
	body, mac := raw[:deviceNonce+deviceTime], raw[deviceNonce+deviceTime:]
	for _, key := range d.keys {
		ok = ok || hmac.Equal(sign(key, account, body), mac)
	}
	issued := time.Unix(int64(binary.BigEndian.Uint64(body[deviceNonce:])), 0)
	if !ok || now.Before(issued.Add(-time.Minute)) || !now.Before(issued.Add(deviceLife)) {
		return "", false
	}
	return hex.EncodeToString(body[:deviceNonce]), true
}

// sign returns the MAC over the account, behind its length, and the body.
func sign(key []byte, account string, body []byte) []byte {
	m := hmac.New(sha256.New, key)
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(account)))
	m.Write(length[:])
	m.Write([]byte(account))
	m.Write(body)
	return m.Sum(nil)
}

// quotaKey returns what failed credential checks for the account are counted under.
func (a *API) quotaKey(c *module.Call, account string) string {
	if id, ok := a.Devices.known(c.Cookie(DeviceCookie), account, c.Now()); ok {
		return account + "\x00" + id // no username holds a NUL
	}
	return account
}

// rememberDevice tells the browser that it has logged in to the account.
func (a *API) rememberDevice(c *module.Call, account string) {
	c.SetCookie(&http.Cookie{
		Name: DeviceCookie, Value: a.Devices.issue(account, c.Now()), MaxAge: int(deviceLife / time.Second),
		Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}
