package problem

import "net/http"

type kind struct {
	status        int
	title, detail words
}

// details are sentences in place of a kind's own.
var details = map[Detail]words{
	DetailNoAddress: {"没有这个地址。请核对路径的拼写。", "No such address. Check the spelling of the path."},
	DetailNeedsRole: {
		"此操作需要以下角色之一：{needs}。当前令牌的角色：{has}。如需权限，请联系管理员。",
		"This operation needs one of: {needs}. This token has: {has}. Contact an administrator.",
	},
}

var kinds = map[Kind]kind{
	InvalidRequest: {
		http.StatusBadRequest,
		words{"请求有误", "The request has mistakes"},
		words{"请按 errors 中的说明逐项修改后重试。", "Correct each mistake in errors, then try again."},
	},
	Unauthorized: {
		http.StatusUnauthorized,
		words{"身份验证未通过", "Not authenticated"},
		words{"请求未携带有效的令牌或签名。", "The request has no valid token or signature."},
	},
	Forbidden: {
		http.StatusForbidden,
		words{"没有权限", "Not permitted"},
		words{"当前令牌的角色或成员范围不允许此操作。如需权限，请联系管理员。", "The role or the staff of this token does not permit this operation. Contact an administrator."},
	},
	StaffMissing: {
		http.StatusForbidden,
		words{"令牌缺少 staff 声明", "The token has no staff claim"},
		words{
			"角色为 reader 的令牌必须带有 staff 声明：以空格或逗号分隔的成员 userid，或用 * 表示全部成员。请联系令牌签发系统的管理员。",
			"A token with the role reader needs the claim staff: userids separated by blanks or commas, or * for all members. Contact the administrator of the system that issues the tokens.",
		},
	},
	NotFound: {
		http.StatusNotFound,
		words{"未找到", "Not found"},
		words{"该企业下没有您请求的内容，请核对地址。", "This corp has no such resource. Check the address."},
	},
	MethodNotAllowed: {
		http.StatusMethodNotAllowed,
		words{"不支持此方法", "Method not allowed"},
		words{"该地址不支持此 HTTP 方法，支持的方法见响应头 Allow。", "This address does not support this HTTP method. The Allow header lists the supported methods."},
	},
	VersionProved: {
		http.StatusConflict,
		words{"版本号属于另一个密钥", "The version belongs to another key"},
		words{
			"版本号 {version} 的消息已由密钥 {owner}… 解密，因此该版本号不属于密钥 {key}…。请在企业微信管理后台「会话内容存档」的「消息加密公钥」处核对版本号。",
			"Key {owner}… has decrypted messages of version {version}, so the version cannot belong to key {key}…. Check the version (版本号) beside 消息加密公钥 on WeCom's 会话内容存档 page.",
		},
	},
	SecretMissing: {
		http.StatusConflict,
		words{"尚未填写 Secret", "No Secret saved"},
		words{"请先完成第 2 步：在企业微信管理后台「会话内容存档」页面查看 Secret，并在设置页保存。", "Do step 2 first: view the Secret on WeCom's 会话内容存档 page and save it on the set-up page."},
	},
	ChangedMeanwhile: {
		http.StatusConflict,
		words{"内容已被他人修改", "Changed by another request"},
		words{"在您操作期间，内容有了新的改动，请刷新后重试。", "Another request changed the same data. Reload, then try again."},
	},
	JobRunning: {
		http.StatusConflict,
		words{"已有任务正在运行", "Another job is running"},
		words{
			"该企业的任务 {id} 正在运行，同类任务同一时间只能运行一个。请在状态页的任务列表中查看进度，任务完成后再重试。",
			"Job {id} of this corp is running, and one job of a kind runs at a time. The list of jobs on the status page shows its progress. Try again when it is done.",
		},
	},
	JobsToday: {
		http.StatusTooManyRequests,
		words{"今天的任务次数已用完", "No more jobs today"},
		words{
			"每家企业每天（北京时间）最多可发起 {max} 次此类任务。请明天再试。",
			"A corp may start {max} jobs of this kind a day (Beijing time). Try again tomorrow.",
		},
	},
	InspectionsWait: {
		http.StatusTooManyRequests,
		words{"等待中的查询过多", "Too many queries wait"},
		words{
			"该企业已有许多查询正在等待企业微信返回结果。请一分钟后重试。",
			"Many queries of this corp already wait for WeCom's answers. Try again in a minute.",
		},
	},
	KeysUnproved: {
		http.StatusConflict,
		words{"尚未使用的公钥过多", "Offered keys await their first message"},
		words{
			"本系统生成的密钥中，有 {max} 个还没有解密过消息，已达上限，暂时不能再生成。请在设置页找到它们的公钥，将其中一个粘贴到企业微信「会话内容存档」的「消息加密公钥」，再把企业微信显示的版本号填回设置页；收到用该公钥加密的新消息后，即可再次轮换。如确需更多密钥，请联系运维人员。",
			"{max} keys that were made here have not opened a message yet, so another cannot be made. Paste the public key of one of them, which the set-up page shows, into 消息加密公钥 on WeCom's 会话内容存档 page, and enter its version (版本号). Once a message encrypted to it arrives, rotate again. If you need more keys, ask the operator of this system.",
		},
	},
	ImportsToday: {
		http.StatusConflict,
		words{"今天导入的密钥已达上限", "The imports of today are used up"},
		words{
			"今天已导入 {max} 个密钥，达到每日上限。请于明天（北京时间）继续导入；如需尽快导入更多密钥，请联系运维人员提高上限。",
			"{max} keys were imported today, which is the most for one day. Import the others tomorrow (Beijing time), or ask the operator of this system to raise the limit.",
		},
	},
	ImportsUsed: {
		http.StatusConflict,
		words{"导入的密钥总数已达上限", "The imports of this corp are used up"},
		words{
			"该企业累计已导入 {max} 个密钥，达到总数上限。已导入的密钥会永久保留，无法通过删除腾出名额。如确需继续导入，请联系运维人员提高上限。",
			"This corp has imported {max} keys, which is the most in all. Keys are kept permanently. Make sure that another key is needed, then ask the operator of this system to raise the limit.",
		},
	},
	BodyTooLarge: {
		http.StatusRequestEntityTooLarge,
		words{"请求体过大", "The body is too large"},
		words{"请求体不得超过 {max} KiB。", "The body must not exceed {max} KiB."},
	},
	MessageTooLarge: {
		http.StatusRequestEntityTooLarge,
		words{"消息过大，需分段获取", "The message must be fetched in parts"},
		words{"消息共 {size} 字节，每次最多返回 4 MiB。请用 Range 请求头依次获取以下各段：{ranges}。", "The message has {size} bytes, and one answer holds at most 4 MiB. Request these parts with the Range header in turn: {ranges}."},
	},
	UnsupportedMediaType: {
		http.StatusUnsupportedMediaType,
		words{"不支持此内容类型", "Unsupported media type"},
		words{"请求体须为 JSON，且请求头须包含 Content-Type: application/json。", "The body must be JSON, declared as Content-Type: application/json."},
	},
	RangeNotSatisfiable: {
		http.StatusRequestedRangeNotSatisfiable,
		words{"请求的范围超出消息末尾", "The range is beyond the end"},
		words{"消息共 {size} 字节，请求的范围在末尾之后。", "The message has {size} bytes; the requested range begins after its end."},
	},
	FileWaiting: {
		http.StatusConflict,
		words{"文件正在下载", "The file is being fetched"},
		words{
			"文件正在从企业微信下载，请稍后再试。企业微信最早将于 {hours} 小时后删除该文件。",
			"The archive is fetching the file from WeCom. Try again later. WeCom deletes the file in {hours} hours at the earliest.",
		},
	},
	FileExpired: {
		http.StatusConflict,
		words{"文件已被企业微信删除", "WeCom has deleted the file"},
		words{
			"文件尚未下载完成，企业微信就已将其删除（原因代码：{reason}），无法再下载。消息本身已存档，不受影响。",
			"WeCom deleted the file before the archive could fetch it ({reason}). The file is permanently unavailable. The message itself is archived.",
		},
	},
	FileFailed: {
		http.StatusConflict,
		words{"文件下载失败", "The file could not be fetched"},
		words{
			"从企业微信下载文件失败（原因代码：{reason}）。如果企业微信尚未删除该文件，请把消息编号 {message} 告知管理员，由管理员重新解析这条消息，系统会再次下载。",
			"Fetching the file from WeCom failed ({reason}). While WeCom has the file, give the id of the message ({message}) to an administrator: a replay of its page fetches the file again.",
		},
	},
	FileUnknown: {
		http.StatusConflict,
		words{"系统尚未开始下载该文件", "The file was never requested"},
		words{
			"这条消息尚未解析完成，或者解析时系统还不支持下载文件。如果企业微信尚未删除该文件，请把消息编号 {message} 告知管理员，由管理员重新解析这条消息，系统会下载该文件。",
			"The message is still being decoded, or was decoded before the archive fetched files. While WeCom has the file, give the id of the message ({message}) to an administrator: a replay of its page fetches the file.",
		},
	},
	FileUnread: {
		http.StatusConflict,
		words{"消息过长，无法列出其中的文件", "The message is too long to list its files"},
		words{
			"消息共 {size} 字节，超过了 8 MiB 的上限，此处无法列出其中的文件。文件仍会正常保存。如需取用，请将消息编号提供给运维人员。运维人员可在媒体存储桶中找到文件：对象名是 sdkfileid 的 SHA-256 值，sdkfileid 见消息原文。",
			"The message has {size} bytes. This operation reads messages up to 8 MiB for their files. The archive fetches the files anyway: in the media bucket, each file is named by the SHA-256 of its sdkfileid, which is in the bytes of the message.",
		},
	},
	Unavailable: {
		http.StatusServiceUnavailable,
		words{"暂时无法完成请求", "Not finished in time"},
		words{"系统繁忙，未能及时完成此请求。请等待响应头 Retry-After 指定的秒数后重试；重复请求不会造成影响。", "The archive did not finish this request in time. Repeating the request is safe. Wait for the seconds in the Retry-After header."},
	},
	Internal: {
		http.StatusInternalServerError,
		words{"服务器内部错误", "Internal error"},
		words{"服务器处理请求时出错，可以重试；重复请求不会造成影响。如果问题持续，请将 instance 的值提供给运维人员。", "The archive failed. Repeating the request is safe. If the error persists, send support the value of instance."},
	},
}

// Remedy names the text that says what the caller does about a mistake.
type Remedy string

// The texts, with their arguments.
const (
	RemedyRequired     Remedy = "required"
	RemedyUnknown      Remedy = "unknown"
	RemedyRepeated     Remedy = "repeated"
	RemedyString       Remedy = "string"
	RemedyInteger      Remedy = "integer" // min, max
	RemedyBoolean      Remedy = "boolean"
	RemedyObject       Remedy = "object"
	RemedyNoBody       Remedy = "no_body"
	RemedyEmpty        Remedy = "empty" // names
	RemedyQuery        Remedy = "query"
	RemedyLength       Remedy = "length" // min, max
	RemedyName         Remedy = "name"
	RemedyCharacters   Remedy = "characters"
	RemedyEntry        Remedy = "entry"
	RemedySecret       Remedy = "secret"
	RemedyAppsSecret   Remedy = "apps_secret"
	RemedyNoAppSecret  Remedy = "no_app_secret"
	RemedyVersion      Remedy = "version"
	RemedyKeyID        Remedy = "key_id"
	RemedyNoSuchKey    Remedy = "no_such_key"
	RemedyNeedsVersion Remedy = "needs_version"
	RemedySeq          Remedy = "seq"
	RemedySeqOrder     Remedy = "seq_order"
	RemedyTime         Remedy = "time"
	RemedyTimeOrder    Remedy = "time_order"
	RemedyDay          Remedy = "day"
	RemedyDays         Remedy = "days" // from, to, max
	RemedyVerify       Remedy = "verify"
	RemedyOneOf        Remedy = "one_of"  // values
	RemedySeveral      Remedy = "several" // values
	RemedyAround       Remedy = "around"
	RemedyMonth        Remedy = "month"
	RemedyWithOrName   Remedy = "with_or_name"
	RemedyOpaque       Remedy = "opaque"
	RemedyOneDay       Remedy = "one_day"
	RemedyExactlyOne   Remedy = "exactly_one"
	RemedyRoomSearch   Remedy = "room_search"
	RemedyToken        Remedy = "token"
	RemedyList         Remedy = "list" // max
	RemedyListType     Remedy = "list_type"
	RemedyIDs          Remedy = "ids" // max
	RemedyIDsOrPage    Remedy = "ids_or_page"
	RemedyHTTPS        Remedy = "https"
	RemedyAgent        Remedy = "agent"
	RemedyConsentQuery Remedy = "consent_query"
	RemedyKeyNotPEM    Remedy = "key_not_pem"
	RemedyKeyNoPrivate Remedy = "key_no_private"
	RemedyKeySeveral   Remedy = "key_several"
	RemedyKeyEncrypted Remedy = "key_encrypted"
	RemedyKeyNotRSA    Remedy = "key_not_rsa"
	RemedyKeyMalformed Remedy = "key_malformed"

	RemedyKeyEncryptedSSH Remedy = "key_encrypted_openssh"
	RemedyKeyPuTTY        Remedy = "key_putty"
	RemedyKeyPKCS12       Remedy = "key_pkcs12"
	RemedyKeyCutOff       Remedy = "key_cut_off"

	RemedyKeyNot2048Bit Remedy = "key_not_2048_bits"

	RemedyConsentHistory Remedy = "consent_history"
)

var remedies = map[Remedy]words{
	RemedyRequired:     {"此项必填。", "This field is required."},
	RemedyUnknown:      {"没有这个字段，请核对名称，或将其删除。", "This field is unknown. Check its name, or remove it."},
	RemedyRepeated:     {"此项不能重复。", "Give this only once."},
	RemedyString:       {"应为字符串。", "Give a string."},
	RemedyInteger:      {"请填写 {min} 到 {max} 之间的整数。", "Give a whole number from {min} to {max}."},
	RemedyBoolean:      {"应为 true 或 false。", "Give true or false."},
	RemedyObject:       {"请求体应为一个 JSON 对象，使用 UTF-8 编码。", "The body must be one JSON object in UTF-8."},
	RemedyNoBody:       {"此接口不需要请求体，请去掉。", "This operation has no body. Remove the body."},
	RemedyEmpty:        {"请至少填写其中一项：{names}。", "Give at least one of {names}."},
	RemedyQuery:        {"查询参数编码有误，请使用百分号编码（「+」应写作 %2B）。", "The query string is not percent-encoded correctly (a '+' is written %2B)."},
	RemedyLength:       {"长度应为 {min} 到 {max} 个字符。", "Give {min} to {max} characters."},
	RemedyName:         {"名称不能全为空白，也不能包含换行等控制字符。", "Give a name with at least one visible character and without control characters or line breaks."},
	RemedyCharacters:   {"文本中有无法显示的字符。请使用 UTF-8 编码，并去掉换行等控制字符。", "The text has characters that cannot be shown. Send it in UTF-8, without control characters and line breaks."},
	RemedyEntry:        {"此项应为一个 JSON 对象。", "This entry must be a JSON object."},
	RemedyAppsSecret:   {"这是第 7 步的自建应用的 Secret。请填写「会话内容存档」页面上的 Secret。", "This is the Secret of the self-built app (step 7). Enter the Secret of WeCom's 会话内容存档 page."},
	RemedyNoAppSecret:  {"这是第 2 步的会话内容存档的 Secret。请填写自建应用详情页上的 Secret。", "This is the Secret of the archive (step 2). Enter the Secret on the page of the self-built app."},
	RemedySecret:       {"Secret 只能包含英文字母、数字和半角符号，中间不能有空格或换行。请重新复制。", "A Secret has visible ASCII characters only, without blanks or line breaks inside. Copy it again."},
	RemedyVersion:      {"请填写企业微信「消息加密公钥」处显示的版本号，应为大于 0 的整数。", "Give the version (版本号) that WeCom shows beside 消息加密公钥: a whole number, 1 or more."},
	RemedyKeyID:        {"密钥编号由 32 位小写十六进制字符组成，见 GET …/setup 返回的 keys。", "A key id has 32 lower-case hex digits. The set-up lists the keys under keys."},
	RemedyNoSuchKey:    {"该企业没有这个密钥，现有密钥见 GET …/setup 返回的 keys。", "The corp has no such key. The set-up lists the keys under keys."},
	RemedyNeedsVersion: {"填写 key_id 时，必须同时填写 publickey_ver。", "key_id requires publickey_ver."},
	RemedySeq:          {"seq 应写成十进制字符串，例如 \"4711\"，并且不超过 64 位无符号整数的范围。", "Give a seq as a decimal string, such as \"4711\", within 64 bits."},
	RemedySeqOrder:     {"to_seq 必须大于 from_seq。", "to_seq must be greater than from_seq."},
	RemedyTime:         {"时间应采用 RFC 3339 格式，例如 2026-01-31T08:00:00Z 或 2026-01-31T16:00:00%2B08:00。", "Give a time as RFC 3339, such as 2026-01-31T08:00:00Z or 2026-01-31T16:00:00%2B08:00."},
	RemedyTimeOrder:    {"to 必须晚于 from。", "to must be after from."},
	RemedyDay:          {"请填写北京时间的日期，例如 2026-01-31。", "Give a Beijing date, such as 2026-01-31."},
	RemedyDays:         {"{from} 不能晚于 {to}，{to} 不能晚于今天，一次最多查询 {max} 天。", "{from} must not be after {to}, and {to} must not be after today. The range must not exceed {max} days."},
	RemedyVerify:       {"核验必须读取每一页，不能与 set_aside_only 或 publickey_ver 同时使用。", "A verification reads every page. Remove set_aside_only and publickey_ver."},
	RemedyOneOf:        {"可选值：{values}。", "Give one of {values}."},
	RemedySeveral:      {"可选值：{values}，多个值之间用英文逗号分隔。", "Give one or several of {values}, separated by commas."},
	RemedyMonth:        {"请填写月份，例如 2026-01。", "Give a month, such as 2026-01."},
	RemedyOpaque:       {"请原样填写接口返回的编号。", "Give an id as an answer of this API has it."},
	RemedyWithOrName:   {"使用 with 参数时，只能按最近活跃时间排序。", "With the parameter with, people are sorted by newest activity only."},
	RemedyOneDay:       {"day 不能与 member、external_contact、room、unplaced、rooms、since 同时填写。", "Give day without member, external_contact, room, unplaced, rooms and since."},
	RemedyAround:       {"around 与 at 只能填写一项，且不能与 from、to、order 同时使用。", "Give either around or at, without from, to and order."},
	RemedyExactlyOne:   {"member、external_contact、room、unplaced、rooms 中必须且只能填写一项，但 member 与 external_contact 可以同时填写。", "Give exactly one of member, external_contact, room, unplaced and rooms. Only member and external_contact may stand together."},
	RemedyRoomSearch:   {"q 只能与 rooms 同时使用。", "Give q only with rooms."},
	RemedyToken:        {"此分页标记（page）不属于当前列表，请从第一页重新开始。", "This page token belongs to another list. Start at the first page."},
	RemedyList:         {"数组应包含 1 到 {max} 项。", "Give 1 to {max} entries."},
	RemedyListType:     {"应为数组。", "Give a list."},
	RemedyIDs:          {"各编号之间用英文逗号分隔，每个编号 1 到 {max} 个字符。", "Separate ids by commas; each id has 1 to {max} characters."},
	RemedyIDsOrPage:    {"ids 与 page 不能同时使用。", "Give either ids or page."},
	RemedyHTTPS:        {"请填写以 https:// 开头的网址，不要包含空格。", "Give an address that begins with https://, without blanks."},
	RemedyAgent:        {"AgentId 只包含数字，可在自建应用的详情页查看。", "An AgentId has digits only. WeCom shows it on the page of the self-built app."},
	RemedyConsentQuery: {"请至少填写 member、external_contact、room 中的一项。member 与 room 不能同时填写，external_contact 可以与其中任一项同时使用。", "Give member, external_contact or room. external_contact may accompany member or room; member and room exclude each other."},
	RemedyKeyNotPEM:    {"未找到私钥。请粘贴私钥文件的全部内容，包括 -----BEGIN 和 -----END 所在的两行。", "The text holds no private key. Paste the whole file of the private key, from -----BEGIN to -----END."},
	RemedyKeyNoPrivate: {"内容中没有私钥，仅有公钥无法导入。请粘贴私钥文件的内容。", "The text holds no private key, and a public key is not enough. Paste the file of the private key."},
	RemedyKeySeveral:   {"内容中有多个私钥，请每次只导入一个。", "The text holds several private keys. Import one key at a time."},
	RemedyKeyEncrypted: {"私钥有密码保护。请先去除密码，例如执行 openssl rsa -in key.pem -out plain.pem。", "A password protects the key. Remove the password first, for example with openssl rsa -in key.pem -out plain.pem."},
	RemedyKeyNotRSA:    {"这不是 RSA 私钥，企业微信只支持 RSA。", "The key is not an RSA key, and WeCom uses RSA only."},
	RemedyKeyMalformed: {"私钥内容已损坏或被改动。请从原文件重新复制。", "The key was altered: its parts do not fit together. Copy it again from its file."},

	RemedyKeyEncryptedSSH: {"这是有密码保护的 OpenSSH 私钥。请先去除密码：ssh-keygen -p -N \"\" -m PEM -f key（此命令会改写原文件，请先备份）。", "A password protects this OpenSSH key. Remove the password first: ssh-keygen -p -N \"\" -m PEM -f key (this rewrites the file; keep a copy)."},
	RemedyKeyPuTTY:        {"这是 PuTTY 格式的私钥。请先转换格式：puttygen key.ppk -O private-openssh -o key.pem。", "This key is in PuTTY's format. Convert it first: puttygen key.ppk -O private-openssh -o key.pem."},
	RemedyKeyPKCS12:       {"这是 PKCS#12 文件。请先导出其中的私钥：openssl pkcs12 -in key.p12 -nocerts -nodes -out key.pem。", "This is a PKCS#12 file. Extract the private key first: openssl pkcs12 -in key.p12 -nocerts -nodes -out key.pem."},
	RemedyKeyCutOff:       {"私钥不完整，缺少一部分内容。请复制整个文件，包括 BEGIN 行和 END 行。", "The key is incomplete: a part of it is missing. Copy the whole file with its BEGIN and END lines."},

	RemedyKeyNot2048Bit: {"企业微信只接受 2048 位的 RSA 密钥。", "The key must have 2048 bits; WeCom accepts no other size."},

	RemedyConsentHistory: {"请填写 member 与 external_contact，或填写 room。", "Give member and external_contact, or room."},
}
