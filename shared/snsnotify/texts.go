package snsnotify

import (
	"github.com/yunduo-scrm/archive/shared/archive"
	"github.com/yunduo-scrm/archive/shared/archive/watch"
)

// words describe a health and its remedy, for the operators of the system. Package
// doctor has the texts for a company's administrator.
type words struct{ whatZH, remedyZH, what, remedy string }

// unknown describes a health that a later version stored.
var unknown = words{
	"该企业的状态无法识别，可能由更高版本的系统写入。", "请通过状态接口查看该企业的情况，并查看日志。",
	"The company is in a state that this version cannot describe.", "Read the company's status and the logs.",
}

// Text says in English what a health means and what an operator does about it.
func Text(h watch.Health) (what, remedy string) {
	w := textOf(h)
	return w.what, w.remedy
}

func textOf(h watch.Health) words {
	if w, ok := texts[h]; ok {
		return w
	}
	return unknown
}

var texts = map[watch.Health]words{
	watch.Well: {
		"已恢复正常：消息正在存档并解析。", "无需处理。",
		"Recovered: messages are archived and decoded.", "No action is needed."},
	watch.Off: {
		"存档已关闭，不再从企业微信拉取消息。企业微信只保留最近 5 天的消息。", "如果不是有意关闭，请企业管理员在设置页重新开启。",
		"The archive was switched off: messages are no longer pulled from WeCom, which keeps them for 5 days only.", "If this was not intended, switch the archive on again on the set-up page."},
	watch.Late: {
		"消息拉取已落后两天多，原因不明。", "请按 docs/runbooks.md 的 HoursLeft 一节处理。",
		"The company was not caught up for more than two days, and no cause is known.", "Follow HoursLeft in docs/runbooks.md."},
	watch.Losing: {
		"消息拉取已落后 120 小时以上，企业微信可能正在删除尚未存档的消息。可能有消息丢失的时段已永久记录。", "请立即按 docs/runbooks.md 的 Losing 一节处理。",
		"The company was not caught up for 120 hours: WeCom may be deleting messages that are not archived. The loss is recorded permanently.", "Follow Losing in docs/runbooks.md now."},
	watch.SetAside: {
		"有记录无法解密或解析，已原样保留（搁置）。其中的文件，企业微信只保留 5 天。", "如果缺少密钥，请企业管理员导入该版本的私钥，系统会自动重新解析。其他原因见 docs/runbooks.md 的 SetAside 一节。",
		"Some messages could not be decrypted. They are kept unchanged. WeCom deletes their media after 5 days.", "If a key is missing, the company imports the private key of that version; the messages are then decoded automatically. For other reasons follow SetAside in docs/runbooks.md."},

	watch.Health(archive.CauseTrustedIP): {
		"企业微信拒绝了来自系统出口 IP 地址的请求。", "请企业管理员重做第 4 步：把设置页的 IP 地址填入「可信IP地址」。",
		"WeCom refused our address.", "The company's administrator repeats step 4 and enters the addresses of the set-up page as 可信IP地址."},
	watch.Health(archive.CauseSecret): {
		"企业微信不接受已保存的 Secret：可能填写有误，或已在企业微信中重置。", "请企业管理员重做第 2 步。",
		"WeCom does not accept the saved Secret: it is wrong or was reset.", "The company's administrator repeats step 2."},
	watch.Health(archive.CauseDisabled): {
		"会话内容存档应用已在企业微信中停用。", "请企业管理员在企业微信管理后台重新启用。",
		"The archive's app is switched off in WeCom.", "The company's administrator switches it on in WeCom's admin console."},
	watch.Health(archive.CauseUnverified): {
		"该企业尚未通过企业微信认证，不能使用会话内容存档。", "请企业管理员先完成企业认证。",
		"The company is not verified in WeCom, so it cannot use the archive.", "The company's administrator completes 企业认证 first."},
	watch.Health(archive.CauseSecretKind): {
		"已保存的是其他应用的 Secret。", "请企业管理员重做第 2 步，使用「会话内容存档」页面上的 Secret。",
		"The saved Secret belongs to another app.", "The company's administrator repeats step 2 with the Secret of the 会话内容存档 page."},
	watch.Health(archive.CauseSecretMissing): {
		"尚未保存 Secret。", "请企业管理员完成第 2 步。",
		"No Secret has been saved.", "The company's administrator does step 2."},
	watch.Health(archive.CauseCorpID): {
		"企业微信无法识别该企业ID。", "请与企业微信管理后台中的企业ID 核对；如不一致，请在登录系统中更正该企业账号的声明 corp。",
		"WeCom does not know this corpid.", "Compare it with WeCom's console. If it differs, correct the claim corp of the company's users at the issuer."},
	watch.Health(archive.CauseExpired): {
		"企业微信的会话内容存档服务已到期。", "请企业管理员续费。已存档的内容不受影响。",
		"The company's 会话内容存档 service has expired.", "The company renews the service. Archived messages stay readable."},
	watch.Health(archive.CauseNotOpen): {
		"企业微信返回：会话内容存档尚未开启。", "请企业管理员重做第 1 步与第 5 步。",
		"WeCom reports that 会话内容存档 is not switched on.", "The company's administrator repeats steps 1 and 5."},
	watch.Health(archive.CauseRate): {
		"接口调用过于频繁，系统已自动降低调用频率。", "如果有其他程序使用同一个 Secret，请停用这些程序。",
		"WeCom limits the rate of calls. We call less often now.", "If other programs use the same Secret, stop them."},
	watch.Health(archive.CauseBudget): {
		"近期企业微信拒绝 Secret 的次数过多（各企业合计）。为避免 IP 地址被企业微信封禁，系统已暂停尝试新的 Secret。", "请找出状态为 secret_refused 的企业，请其管理员更正 Secret。一小时后系统会自动继续尝试。",
		"Too many Secrets were refused recently. New Secrets are not tried for now, so that WeCom does not ban our address.", "Ask the companies in secret_refused to repeat step 2. New Secrets are tried again after an hour."},
	watch.Health(archive.CauseShare): {
		"该企业的 Secret 近期多次被企业微信拒绝，系统已暂停尝试。", "请企业管理员核对 Secret 并重做第 2 步。等待时间结束后，系统会自动重试。",
		"Too many Secrets of this company were refused recently. Its next Secret is not tried for now.", "The company's administrator repeats step 2 and compares the Secret with WeCom's console. The Secret is tried automatically when the pause is over."},
	watch.Health(archive.CauseNetwork): {
		"无法连接企业微信。", "如果多家企业同时出现此问题，请检查 NAT 网关、路由与代理（见 docs/runbooks.md 的 NatErrors 一节）。",
		"WeCom cannot be reached.", "If several companies are affected, check the NAT gateway, the routes and the proxy (NatErrors in docs/runbooks.md)."},
	watch.Health(archive.CauseBusy): {
		"企业微信持续繁忙。", "系统会自动重试；请查看企业微信的公告。",
		"WeCom stays busy.", "The system tries again automatically. Read WeCom's announcements."},
	watch.Health(archive.CauseTLS): {
		"无法与企业微信建立加密连接：证书校验失败。", "请检查代理是否解密流量，并用 make sdk-check 确认 SDK 从哪里读取根证书。",
		"No encrypted connection to WeCom is possible (certificates).", "Check whether a proxy decrypts the traffic. Find out with make sdk-check where the vendor's library looks for certificates."},
	watch.Health(archive.CauseLibraryMissing): {
		"无法加载会话内容存档 SDK。", "请检查 finance-sdk 层，用 make layer 重新安装 SDK，再重新部署。",
		"The vendor's library cannot be loaded.", "Check the finance-sdk layer. Install the library again with make layer, then deploy."},
	watch.Health(archive.CauseLibraryCrash): {
		"会话内容存档 SDK 持续崩溃、无响应或返回异常。", "请查看 pull 的日志；必要时换回前一版本的 SDK（见 layers/finance-sdk/README.md）。只要在 120 小时内解决，就不会丢失消息。",
		"The vendor's library keeps crashing, hanging or giving malformed answers.", "Read the log of pull. If necessary return to the earlier version of the library (layers/finance-sdk/README.md). No message is lost if this is fixed within 120 hours."},
	watch.Health(archive.CauseBadAnswer): {
		"企业微信返回的内容格式持续不正确。", "请查看 pull 的日志，并将错误码提供给开发者。",
		"WeCom's answers keep breaking the agreed form.", "Read the log of pull, and send the code to the developers."},
	watch.Health(archive.CauseRecordTooLarge): {
		"有一条记录无法获取。系统正在逐条跳过，继续获取后面的记录。", "无需处理。无法获取的记录会在存档台账中记为缺口。",
		"A single record cannot be fetched. The records after it are searched one by one.", "No action is needed. The ledger records a gap for what cannot be fetched."},
	watch.Health(archive.CauseUnknownResponse): {
		"企业微信持续返回未知的错误码。", "请查看错误码的官方说明，并将错误码提供给开发者。",
		"WeCom keeps answering with an unknown code.", "Look the code up in WeCom's documents, and send it to the developers."},
}
