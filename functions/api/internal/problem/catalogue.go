package problem

import "net/http"

type kind struct {
	status        int
	title, detail words
}

var kinds = map[Kind]kind{
	InvalidRequest: {
		http.StatusBadRequest,
		words{"请求有误", "The request has mistakes"},
		words{"请按 errors 中的说明逐项修正后重试。", "Remedy what errors names, then try again."},
	},
	Unauthorized: {
		http.StatusUnauthorized,
		words{"身份未通过验证", "Not authenticated"},
		words{"请求缺少有效的令牌或签名。", "The request has no valid token or signature."},
	},
	Forbidden: {
		http.StatusForbidden,
		words{"没有权限", "Not permitted"},
		words{"此令牌的角色或成员范围不允许该操作，请联系管理员。", "The role or the staff of this token does not admit this. Ask an administrator."},
	},
	NotFound: {
		http.StatusNotFound,
		words{"找不到", "Not found"},
		words{"该企业下没有所请求的内容，请核对地址。", "There is no such thing in this corp. Check the address."},
	},
	MethodNotAllowed: {
		http.StatusMethodNotAllowed,
		words{"方法不支持", "Method not allowed"},
		words{"该地址不支持此 HTTP 方法，可用的方法见 Allow。", "This address does not take this HTTP method; Allow names those it takes."},
	},
	VersionProved: {
		http.StatusConflict,
		words{"版本号属于另一个密钥", "The version is another key's"},
		words{
			"版本号 {version} 的消息是用密钥 {owner} 解开的，因此它不可能属于密钥 {key}。请在企业微信后台「会话内容存档」的「消息加密公钥」处核对版本号。",
			"Messages of version {version} were opened with key {owner}, so it cannot be the version of key {key}. Check the version (版本号) beside 消息加密公钥 on WeCom's 会话内容存档 page.",
		},
	},
	SecretMissing: {
		http.StatusConflict,
		words{"尚未填写 Secret", "No Secret yet"},
		words{"请先完成第 2 步：在企业微信后台「会话内容存档」查看 Secret，并在设置页保存。", "Do step 2 first: view the Secret on WeCom's 会话内容存档 page and save it on the set-up page."},
	},
	ChangedMeanwhile: {
		http.StatusConflict,
		words{"内容已被他人更改", "Changed meanwhile"},
		words{"有人同时作了更改，请刷新后再试。", "Somebody else changed the same. Read again, then decide anew."},
	},
	BodyTooLarge: {
		http.StatusRequestEntityTooLarge,
		words{"请求内容过大", "The body is too large"},
		words{"请求内容不得超过 {max} KiB。", "A body may have {max} KiB."},
	},
	MessageTooLarge: {
		http.StatusRequestEntityTooLarge,
		words{"消息过大，需分段获取", "The message must be fetched in parts"},
		words{"消息共 {size} 字节，一次最多返回 4 MiB。请用 Range 请求头依次获取：{ranges}。", "The message has {size} bytes, and 4 MiB are answered at once. Ask with Range for these parts in turn: {ranges}."},
	},
	UnsupportedMediaType: {
		http.StatusUnsupportedMediaType,
		words{"内容类型不支持", "Unsupported media type"},
		words{"请求内容须为 JSON，并以 Content-Type: application/json 声明。", "The body must be JSON, declared as Content-Type: application/json."},
	},
	RangeNotSatisfiable: {
		http.StatusRequestedRangeNotSatisfiable,
		words{"范围超出内容", "The range is beyond the end"},
		words{"消息共 {size} 字节，请求的范围在其之外。", "The message has {size} bytes; the range begins after them."},
	},
	FileWaiting: {
		http.StatusConflict,
		words{"文件尚未下载完成", "The file is still being fetched"},
		words{
			"文件正在从企业微信下载，请稍后再试。企业微信最早在 {hours} 小时后删除它。",
			"The file is being fetched from WeCom. Try again later. WeCom deletes it in {hours} hours at the earliest.",
		},
	},
	FileExpired: {
		http.StatusConflict,
		words{"文件已被企业微信删除", "WeCom has deleted the file"},
		words{
			"文件在下载完成之前已被企业微信删除（{reason}），无法再获取。消息本身不受影响。",
			"WeCom deleted the file before it could be fetched ({reason}), and nobody can get it any more. The message itself is kept.",
		},
	},
	FileFailed: {
		http.StatusConflict,
		words{"文件无法下载", "The file cannot be fetched"},
		words{
			"文件无法从企业微信下载（{reason}）。若企业微信仍保留着它，请管理员对序号 {seq} 发起一次重新解析，系统会再次下载。",
			"The file could not be fetched from WeCom ({reason}). While WeCom still has it, an administrator can start a replay of seq {seq}, which asks for it again.",
		},
	},
	FileUnknown: {
		http.StatusConflict,
		words{"文件尚未登记下载", "The file was never asked for"},
		words{
			"消息正在解析，或者是在启用文件下载之前解析的。若企业微信仍保留着文件，请管理员对序号 {seq} 发起一次重新解析，系统会下载它。",
			"The message is being decoded, or was before files were fetched. While WeCom still has the file, an administrator can start a replay of seq {seq}, which asks for it.",
		},
	},
	FileUnread: {
		http.StatusConflict,
		words{"消息过长，无法列出其文件", "The message is too long to be read for its files"},
		words{
			"消息共 {size} 字节，超过 8 MiB 的消息不在此解析。其文件照常下载并存放在媒体存储桶中，对象名为 sdkfileid 的 SHA-256；sdkfileid 可从消息原文中取得。",
			"The message has {size} bytes, and none over 8 MiB is read here. Its files are fetched all the same; in the media bucket each is named by the SHA-256 of its sdkfileid, which stands in the message's bytes.",
		},
	},
	Internal: {
		http.StatusInternalServerError,
		words{"服务器内部错误", "Something failed here"},
		words{"我们这边出了问题，可以放心重试；若持续出现，请把 instance 的值告知支持人员。", "The fault is on our side, and asking again is safe. If it goes on, tell support the value of instance."},
	},
}

// Remedy names the text that says how to mend a mistake.
type Remedy string

// The texts, with their arguments.
const (
	RemedyRequired      Remedy = "required"
	RemedyUnknown       Remedy = "unknown"
	RemedyRepeated      Remedy = "repeated"
	RemedyString        Remedy = "string"
	RemedyInteger       Remedy = "integer" // min, max
	RemedyBoolean       Remedy = "boolean"
	RemedyObject        Remedy = "object"
	RemedyNoBody        Remedy = "no_body"
	RemedyEmpty         Remedy = "empty" // names
	RemedyQuery         Remedy = "query"
	RemedyLength        Remedy = "length" // min, max
	RemedyName          Remedy = "name"
	RemedySecret        Remedy = "secret"
	RemedyVersion       Remedy = "version"
	RemedyKeyID         Remedy = "key_id"
	RemedyNoSuchKey     Remedy = "no_such_key"
	RemedyNeedsVersion  Remedy = "needs_version"
	RemedySeq           Remedy = "seq"
	RemedySeqOrder      Remedy = "seq_order"
	RemedyTime          Remedy = "time"
	RemedyTimeOrder     Remedy = "time_order"
	RemedyDay           Remedy = "day"
	RemedyDays          Remedy = "days" // from, to, max
	RemedyVerify        Remedy = "verify"
	RemedyOneOf         Remedy = "one_of" // values
	RemedyExactlyOne    Remedy = "exactly_one"
	RemedyToken         Remedy = "token"
	RemedyList          Remedy = "list" // max
	RemedyListType      Remedy = "list_type"
	RemedyIDs           Remedy = "ids" // max
	RemedyIDsOrPage     Remedy = "ids_or_page"
	RemedyHTTPS         Remedy = "https"
	RemedyAgent         Remedy = "agent"
	RemedyConsentQuery  Remedy = "consent_query"
	RemedyKeyNotPEM     Remedy = "key_not_pem"
	RemedyKeyNoPrivate  Remedy = "key_no_private"
	RemedyKeySeveral    Remedy = "key_several"
	RemedyKeyEncrypted  Remedy = "key_encrypted"
	RemedyKeyNotRSA     Remedy = "key_not_rsa"
	RemedyKeyMalformed  Remedy = "key_malformed"
	RemedyKeyNot2048Bit Remedy = "key_not_2048_bits"
)

var remedies = map[Remedy]words{
	RemedyRequired:      {"此项必填。", "This is required."},
	RemedyUnknown:       {"没有这一项，请核对名称或去掉它。", "There is no such field. Check its name, or leave it out."},
	RemedyRepeated:      {"此项只能出现一次。", "Give this once."},
	RemedyString:        {"须为字符串。", "Give a string."},
	RemedyInteger:       {"须为 {min} 到 {max} 之间的整数。", "Give a whole number from {min} to {max}."},
	RemedyBoolean:       {"须为 true 或 false。", "Give true or false."},
	RemedyObject:        {"请求内容须为一个 JSON 对象（UTF-8 编码，不含重复的项）。", "The body must be one JSON object in UTF-8."},
	RemedyNoBody:        {"此接口不接受请求内容，请去掉它。", "This operation takes no body. Leave it out."},
	RemedyEmpty:         {"请至少填写一项：{names}。", "Give at least one of {names}."},
	RemedyQuery:         {"地址中的查询部分编码有误，请按百分号编码规则书写（“+”须写作 %2B）。", "The query string is not percent-encoded correctly (a '+' is written %2B)."},
	RemedyLength:        {"长度须为 {min} 到 {max} 个字符。", "Give {min} to {max} characters."},
	RemedyName:          {"名称不能全为空白，也不能含控制字符或换行。", "A name may not be blank, nor have control characters or line breaks."},
	RemedySecret:        {"Secret 只含可见的半角字符，请重新复制，不要带空格或换行。", "A Secret has visible ASCII characters only. Copy it again, without blanks or line breaks."},
	RemedyVersion:       {"请填写企业微信「消息加密公钥」处显示的版本号，为不小于 1 的整数。", "Give the version (版本号) that WeCom shows beside 消息加密公钥: a whole number, 1 or more."},
	RemedyKeyID:         {"密钥编号为 32 位小写十六进制字符，见设置页的 keys。", "A key id has 32 lower-case hex digits; see keys of the set-up."},
	RemedyNoSuchKey:     {"该企业没有这个密钥，可选的密钥见设置页的 keys。", "The corp has no such key; see keys of the set-up."},
	RemedyNeedsVersion:  {"填写密钥编号时须同时填写 publickey_ver。", "A key id is of use only with publickey_ver."},
	RemedySeq:           {"seq 须写作十进制字符串，例如 \"4711\"，且不超过 64 位无符号整数。", "Give a seq as a decimal string, such as \"4711\", within 64 bits."},
	RemedySeqOrder:      {"to_seq 须大于 from_seq。", "to_seq must be greater than from_seq."},
	RemedyTime:          {"时间须为 RFC 3339 格式，例如 2026-01-31T08:00:00Z 或 2026-01-31T16:00:00%2B08:00。", "Give a time as RFC 3339, such as 2026-01-31T08:00:00Z or 2026-01-31T16:00:00%2B08:00."},
	RemedyTimeOrder:     {"to 须晚于 from。", "to must be after from."},
	RemedyDay:           {"日期须为北京时间的日期，例如 2026-01-31。", "Give a Beijing date, such as 2026-01-31."},
	RemedyDays:          {"{from} 不得晚于 {to}，{to} 不得晚于今天，一次最多 {max} 天。", "{from} may not be after {to}, nor {to} after today; {max} days at most."},
	RemedyVerify:        {"核验须逐页进行，不能与 waiting 或 publickey_ver 同时使用。", "A verification reads every page; leave out waiting and publickey_ver."},
	RemedyOneOf:         {"可选的值：{values}。", "Give one of {values}."},
	RemedyExactlyOne:    {"member、external_contact、room、unplaced 须恰好填写一项。", "Give exactly one of member, external_contact, room and unplaced."},
	RemedyToken:         {"翻页标记不属于该列表，请从第一页重新开始。", "This token is of another list. Begin at the first page."},
	RemedyList:          {"须有 1 到 {max} 项。", "Give 1 to {max} of them."},
	RemedyListType:      {"须为数组。", "Give a list."},
	RemedyIDs:           {"请用英文逗号分隔编号，每个 1 到 {max} 个字符。", "Separate ids by commas; each has 1 to {max} characters."},
	RemedyIDsOrPage:     {"ids 与 page 不能同时使用。", "Give ids or page, not both."},
	RemedyHTTPS:         {"须为 https:// 开头的网址，不含空格。", "Give an address that begins with https://, without blanks."},
	RemedyAgent:         {"AgentId 只含数字，见自建应用的详情页。", "An AgentId has digits only; see the page of the self-built app."},
	RemedyConsentQuery:  {"请填写 member、external_contact、room 之一；external_contact 可与另两者之一合用，member 与 room 不能同时填写。", "Give member, external_contact or room; external_contact goes with either of the others, member and room do not go together."},
	RemedyKeyNotPEM:     {"不是 PEM 格式。请粘贴私钥文件的全部内容，从 -----BEGIN 到 -----END 整行。", "This is not PEM. Paste the whole file of the private key, from -----BEGIN to -----END."},
	RemedyKeyNoPrivate:  {"其中没有私钥（公钥不够）。请粘贴私钥文件。", "There is no private key in it; a public key is not enough. Paste the file of the private key."},
	RemedyKeySeveral:    {"其中有多个私钥，请一次只导入一个。", "There is more than one private key in it. Import one at a time."},
	RemedyKeyEncrypted:  {"私钥有密码保护。请先去除密码，例如 openssl rsa -in key.pem -out plain.pem。", "The key is protected by a password. Remove it first, as with openssl rsa -in key.pem -out plain.pem."},
	RemedyKeyNotRSA:     {"不是 RSA 私钥，企业微信只使用 RSA。", "This is not an RSA key, and WeCom uses RSA only."},
	RemedyKeyMalformed:  {"私钥内容不完整或被改动，请重新复制。", "The key is cut off or altered. Copy it again."},
	RemedyKeyNot2048Bit: {"须为 2048 位的 RSA 密钥，企业微信不接受其他长度。", "The key must have 2048 bits; WeCom takes no other size."},
}

type trouble struct{ what, remedy words }

// appTroubles is by archive.Cause too, for those that the self-built app's own
// page mends.
var appTroubles = map[string]trouble{
	"trusted_ip": {
		words{"企业微信拒绝了我们的 IP 地址 {ip} 使用自建应用。", "WeCom refused our address {ip} for the self-built app."},
		words{"请重做第 7 步：把设置页的 IP 地址填入该自建应用的「企业可信IP」，约一分钟后生效。", "Redo step 7: enter the addresses of the set-up page under 企业可信IP of the self-built app. It takes about a minute to work."},
	},
	"secret_refused": {
		words{"企业微信不接受已保存的自建应用 Secret：可能填错、已被重置，或应用被停用。", "WeCom does not accept the saved Secret of the self-built app: it is wrong or was reset, or the app is disabled."},
		words{"请重做第 7 步：在该自建应用的详情页重新查看 Secret 并保存；保存后会立即重试。", "Redo step 7: view the Secret on the page of the self-built app again and save it. It is tried at once."},
	},
	"secret_kind": {
		words{"企业微信不允许以已保存的 Secret 查询姓名与客户信息。", "WeCom does not let the saved Secret ask for names and customers."},
		words{"请重做第 7 步：保存自建应用的 Secret，启用该应用，并在「客户联系」的「可调用接口的应用」中勾选它。", "Redo step 7: save the Secret of a self-built app, enable the app, and tick it in 可调用接口的应用 under 客户联系."},
	},
	"secret_missing": {
		words{"尚未保存自建应用的 Secret。", "No Secret of a self-built app has been saved."},
		words{"请完成第 7 步：在自建应用的详情页查看 Secret 并保存。", "Do step 7: view the Secret on the page of a self-built app and save it."},
	},
	"corpid": {
		words{"企业微信不认识此企业 ID。", "WeCom does not know this corpid."},
		words{"请核对「我的企业 → 企业信息」中的企业ID，并以正确的企业ID重新登记。", "Compare it with 我的企业 → 企业信息 in WeCom, and register with the right corpid."},
	},
}

// troubles is by archive.Cause.
var troubles = map[string]trouble{
	"trusted_ip": {
		words{"企业微信拒绝了我们的 IP 地址 {ip}。", "WeCom refused our address {ip}."},
		words{"请重做第 4 步：把设置页的 IP 地址填入「会话内容存档」的「可信IP地址」，约一分钟后生效。", "Redo step 4: enter the addresses of the set-up page under 可信IP地址 on WeCom's 会话内容存档 page. It takes about a minute to work."},
	},
	"secret_refused": {
		words{"企业微信不接受已保存的 Secret：可能填错、已被重置，或会话存档应用被停用。", "WeCom does not accept the saved Secret: it is wrong or was reset, or the archive is disabled."},
		words{"请重做第 2 步：在「会话内容存档」重新查看 Secret 并保存；保存后会立即重试。", "Redo step 2: view the Secret on WeCom's 会话内容存档 page again and save it. It is tried at once."},
	},
	"secret_kind": {
		words{"已保存的是其他应用的 Secret，没有会话存档的权限。", "The saved Secret belongs to another app, which may not read the archive."},
		words{"请重做第 2 步：使用「会话内容存档」页面上的 Secret。", "Redo step 2: use the Secret on WeCom's 会话内容存档 page."},
	},
	"secret_missing": {
		words{"尚未保存 Secret。", "No Secret has been saved."},
		words{"请完成第 2 步：在「会话内容存档」查看 Secret 并保存。", "Do step 2: view the Secret on WeCom's 会话内容存档 page and save it."},
	},
	"corpid": {
		words{"企业微信不认识此企业 ID。", "WeCom does not know this corpid."},
		words{"请核对「我的企业 → 企业信息」中的企业ID，并以正确的企业ID重新登记，再重做第 2 步。", "Compare it with 我的企业 → 企业信息 in WeCom, register with the right corpid, and redo step 2."},
	},
	"licence_expired": {
		words{"企业微信的会话内容存档服务已到期。", "The corp's 会话内容存档 service has expired."},
		words{"请在企业微信后台续费。已存档的内容不受影响。", "Renew it in WeCom's admin console. What is archived stays readable."},
	},
	"not_open": {
		words{"企业微信认为会话内容存档尚未开启。", "WeCom says that 会话内容存档 is not switched on."},
		words{"请重做第 1 步与第 5 步：设置开启范围与消息加密公钥，并立即开启。", "Redo steps 1 and 5: choose the members, see that the public key is set, and switch it on."},
	},
	"rate_limited": {
		words{"调用过于频繁，企业微信要求放慢。", "WeCom asks us to call less often."},
		words{"无需操作，系统会放慢并自动继续。若还有其他程序使用同一 Secret，请停掉它们。", "Nothing needs doing; we slow down and go on. If other programs use the same Secret, stop them."},
	},
	"address_budget": {
		words{"近期有过多被拒绝的 Secret，为避免企业微信封禁我们的地址，暂缓尝试。", "Too many Secrets were refused lately. We wait, so that WeCom does not ban our address."},
		words{"请确认第 2 步的 Secret 正确；系统稍后会自动重试。", "See that the Secret of step 2 is right; we try again later by ourselves."},
	},
	"network": {
		words{"无法连接企业微信。", "WeCom cannot be reached."},
		words{"系统会自动重试。若持续出现，请联系运维检查网络与代理。", "We try again by ourselves. If it goes on, operations should check the network and the proxy."},
	},
	"wecom_busy": {
		words{"企业微信暂时繁忙。", "WeCom is busy."},
		words{"无需操作，系统会自动重试。", "Nothing needs doing; we try again."},
	},
	"tls": {
		words{"与企业微信的加密连接无法建立（证书问题）。", "No encrypted connection to WeCom can be made (certificates)."},
		words{"请联系运维检查系统时间、根证书以及会解密流量的代理。", "Operations should check the clock, the root certificates, and any proxy that opens TLS."},
	},
	"library_missing": {
		words{"会话存档的厂商组件无法加载。", "WeCom's library cannot be loaded."},
		words{"请联系运维检查部署的 finance-sdk 层。", "Operations should check the finance-sdk layer of the deployment."},
	},
	"library_crash": {
		words{"会话存档的厂商组件异常退出。", "WeCom's library crashed, hung or answered nonsense."},
		words{"系统会自动重试；若持续出现，请联系运维。消息不会因此丢失。", "We try again by ourselves. If it goes on, tell operations. No message is lost by it."},
	},
	"bad_answer": {
		words{"企业微信的返回内容不符合约定。", "WeCom's answer is not as agreed."},
		words{"系统会自动重试；若持续出现，请联系运维。", "We try again by ourselves. If it goes on, tell operations."},
	},
	"record_too_large": {
		words{"有单条记录过大，正在逐条跳过。", "A record is too large to be fetched, and is being passed."},
		words{"无需操作。无法获取的记录会在台账中记为缺口。", "Nothing needs doing. What cannot be fetched is recorded in the ledger as a gap."},
	},
	"unknown_error": {
		words{"企业微信返回了未知的错误码。", "WeCom answered with an unknown code."},
		words{"系统会自动重试；若持续出现，请把错误码告知支持人员。", "We try again by ourselves. If it goes on, tell support the code."},
	},
}
