package api

import (
	"errors"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/password"
	"github.com/merlonhq/merlon/problem"
	"github.com/merlonhq/merlon/server/internal/accounts"
	"github.com/merlonhq/merlon/server/module"
	"github.com/merlonhq/merlon/validate"
)

// reserved are the names that people might take for the site itself.
var reserved = [...]string{
	"admin", "administrator", "root", "system", "api", "www",
	"abuse", "hostmaster", "postmaster", "webmaster", "security", "support", "help", "info", "me", "merlon",
}

// maxLinks is how many links a bio may have.
const maxLinks = 3

type registration struct {
	Username string                    `json:"username" text:"identifier" minLength:"3" maxLength:"50" pattern:"[a-z0-9][a-z0-9_.-]{2,49}" doc:"Trimmed and lower-cased." example:"ada"`
	Email    string                    `json:"email" text:"line" format:"email" maxLength:"254" example:"ada@example.com"`
	Password string                    `json:"password" text:"secret" minLength:"8" maxLength:"128" doc:"Counted in code points. No rules of composition; common passwords and those made of the account's own words are refused."`
	FullName validate.Optional[string] `json:"full_name" text:"line" minLength:"1" maxLength:"100"`
	Bio      validate.Optional[string] `json:"bio" text:"prose" maxLength:"500" doc:"At most three links."`
	Website  validate.Optional[string] `json:"website" text:"line" format:"uri" maxLength:"2048"`
}

// Check refuses reserved names and bios that advertise.
func (r *registration) Check(rep *validate.Report) {
	if slices.Contains(reserved[:], r.Username) {
		rep.Add("/username", "reserved", "This name is reserved.")
	}
	checkBio(rep, r.Bio)
}

type profileChange struct {
	FullName validate.Optional[string] `json:"full_name" text:"line" minLength:"1" maxLength:"100"`
	Bio      validate.Optional[string] `json:"bio" text:"prose" maxLength:"500" doc:"At most three links."`
	Website  validate.Optional[string] `json:"website" text:"line" format:"uri" maxLength:"2048"`
}

// Check refuses bios that advertise.
func (p *profileChange) Check(rep *validate.Report) { checkBio(rep, p.Bio) }

func checkBio(rep *validate.Report, bio validate.Optional[string]) {
	text := strings.ToLower(bio.Value)
	if strings.Count(text, "http://")+strings.Count(text, "https://") > maxLinks {
		rep.Add("/bio", "too-many-links", "Must have at most three links.")
	}
}

type passwordChange struct {
	CurrentPassword string `json:"current_password" text:"secret" minLength:"1" maxLength:"128"`
	NewPassword     string `json:"new_password" text:"secret" minLength:"8" maxLength:"128"`
}

// user is an account as its owner sees it.
type user struct {
	ID        string    `json:"id" maxLength:"40"`
	Username  string    `json:"username" maxLength:"50"`
	Email     string    `json:"email" format:"email" maxLength:"254"`
	FullName  *string   `json:"full_name" maxLength:"100"`
	Bio       *string   `json:"bio" text:"prose" maxLength:"500"`
	Website   *string   `json:"website" format:"uri" maxLength:"2048"`
	Role      string    `json:"role" maxLength:"50"`
	CreatedAt time.Time `json:"created_at"`
}

func userOf(u accounts.User) user {
	return user{
		ID: u.ID, Username: u.Username, Email: u.Email,
		FullName: reference(u.FullName), Bio: reference(u.Bio), Website: reference(u.Website),
		Role: u.Role, CreatedAt: u.CreatedAt,
	}
}

func (a *API) register(c *module.Call, in *registration) (user, error) {
	if err := a.checkPassword("/password", in.Password, in.Username, in.Email, in.FullName.Value); err != nil {
		return user{}, err
	}
	hash, err := a.hash(c, "/password", in.Password)
	if err != nil {
		return user{}, err
	}
	u, err := a.Accounts.Create(c, accounts.User{
		Username: in.Username, Email: in.Email, PasswordHash: hash, Role: RoleUser,
		FullName: in.FullName.Value, Bio: in.Bio.Value, Website: in.Website.Value,
	})
	if errors.Is(err, accounts.ErrExists) {
		// Which of the two is taken would tell a stranger who has an account.
		return user{}, problem.New(problem.AccountExists, "There is an account with this username or e-mail address.")
	}
	if err != nil {
		return user{}, err
	}
	c.Record(audit.AccountCreated(u.ID, u.Role, "registration"))
	return userOf(u), nil
}

func (a *API) me(c *module.Call) (user, error) {
	u, err := a.Accounts.ByID(c, c.Principal().Subject)
	if err != nil {
		return user{}, err
	}
	return userOf(u), nil
}

func (a *API) changeProfile(c *module.Call, in *profileChange) (user, error) {
	id := c.Principal().Subject
	u, err := a.Accounts.ByID(c, id)
	if err != nil {
		return user{}, err
	}
	in.FullName.Apply(&u.FullName)
	in.Bio.Apply(&u.Bio)
	in.Website.Apply(&u.Website)
	err = a.Accounts.UpdateProfile(c, id, accounts.Profile{Email: u.Email, FullName: u.FullName, Bio: u.Bio, Website: u.Website})
	if err != nil {
		return user{}, err
	}
	c.Record(audit.AccountUpdated(id))
	return a.me(c)
}

func (a *API) changePassword(c *module.Call, in *passwordChange) (module.None, error) {
	p := c.Principal()
	u, err := a.Accounts.ByID(c, p.Subject)
	if err != nil {
		return module.None{}, err
	}
	if _, err := a.takeLoginQuota(c, u.Username); err != nil {
		return module.None{}, err
	}
	ok, _, err := a.Hasher.Verify(c, u.PasswordHash, in.CurrentPassword)
	if err != nil {
		return module.None{}, hashing(err)
	}
	if !ok {
		c.Record(audit.PasswordChangeFailed(u.ID, "wrong_password"))
		return module.None{}, problem.New(problem.InvalidCredentials, "The current password is not right.")
	}
	if err := a.checkPassword("/new_password", in.NewPassword, u.Username, u.Email, u.FullName); err != nil {
		return module.None{}, err
	}
	hash, err := a.hash(c, "/new_password", in.NewPassword)
	if err != nil {
		return module.None{}, err
	}
	if err := c.Commit(audit.PasswordChanged(u.ID)); err != nil {
		return module.None{}, err
	}
	// Whoever knew the old password may have a session, or tokens: all but those of this call end with it.
	err = a.Accounts.SetPassword(c, u.ID, u.PasswordHash, hash, p.SessionID)
	if err != nil {
		c.Record(audit.PasswordChangeFailed(u.ID, "not_stored"))
	}
	if errors.Is(err, accounts.ErrConflict) {
		return module.None{}, problem.New(problem.Conflict, "The password was changed in between.")
	}
	return module.None{}, err
}

// checkPassword refuses passwords that are easy to guess, with every reason.
func (a *API) checkPassword(pointer, chosen string, context ...string) error {
	reasons := a.Policy.Check(chosen, context...)
	if len(reasons) == 0 {
		return nil
	}
	errs := make([]problem.FieldError, len(reasons))
	for i, r := range reasons {
		errs[i] = problem.FieldError{Pointer: pointer, Code: string(r.Code), Detail: r.Detail}
	}
	return problem.New(problem.InvalidContent, "The password cannot be chosen.").WithErrors(errs...)
}

func (a *API) hash(c *module.Call, pointer, chosen string) (string, error) {
	hash, err := a.Hasher.Hash(c, chosen)
	if errors.Is(err, password.ErrTooLong) {
		return "", invalid(pointer, "too-long", "Must be shorter.")
	}
	return hash, hashing(err)
}

// hashing turns an error of the hasher into an answer.
func hashing(err error) error {
	if errors.Is(err, password.ErrOverloaded) {
		return problem.New(problem.Overloaded, "Too many passwords are being checked. Try again.").WithRetryAfter(time.Second)
	}
	return err
}

// CheckAccount reports everything that is wrong with an account that an operator
// creates. The rules are those of registration, but for reserved names.
func CheckAccount(choose *password.Policy, username, email, secret string) error {
	var errs []error
	if !usernamePattern.MatchString(username) {
		errs = append(errs, errors.New("username: must have 3 to 50 characters of a-z, 0-9, dot, underscore and hyphen, and begin with a letter or digit"))
	}
	if !validate.IsEmail(email) {
		errs = append(errs, errors.New("e-mail address: must be one address, such as ada@example.com"))
	}
	for _, r := range choose.Check(secret, username, email) {
		errs = append(errs, errors.New("password: "+r.Detail))
	}
	return errors.Join(errs...)
}

// usernamePattern is the pattern of a registration.
var usernamePattern = func() *regexp.Regexp {
	f, _ := reflect.TypeFor[registration]().FieldByName("Username")
	return regexp.MustCompile("^(?:" + f.Tag.Get("pattern") + ")$")
}()
