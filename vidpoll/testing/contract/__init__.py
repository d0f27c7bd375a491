"""The contract of a provider plugin as tests to inherit: `ProviderContract`. Nothing but pytest is needed.

    from pathlib import Path
    from vidpoll.testing import ProviderContract

    class TestContract(ProviderContract):
        provider = "acme"
        samples = Path(__file__).parent / "samples"
        submits = {"video": {"prompt": "a lighthouse at dusk"}}

The rooms behind it: `samples` and `checks` (the folder and its index), `mutations` (bodies that are almost right),
`subject` (the plugin under test), `finding` (why there is none); and the rules: of answers in `meaning`, `verdicts`,
`envelopes`, `contents`, `classes`, `lists`, `follows`, `empty`, `limits`, of requests in `requests`, `pinned`, `ids`,
`auth`, of the whole in `source` and `package`. Here is only the list of the tests; each one's docstring is its rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from . import (
    auth,
    classes,
    contents,
    empty,
    envelopes,
    follows,
    ids,
    limits,
    lists,
    meaning,
    package,
    pinned,
    prices,
    requests,
    source,
    verdicts,
)
from .subject import Subject, broken

__all__ = ["ProviderContract"]


class ProviderContract:
    """Inherit it in a class whose name begins with `Test`, name your provider and your samples, and run pytest.

    `provider` is the provider's name. `samples` is a folder with bodies and their `index.json`. `submits` maps each
    submit operation to fields that it takes; "fields" of its sample do as well. `plugin` is the module or object with
    the hooks, for a plugin that is not installed; left out, the provider is looked for among the installed plugins.
    """

    provider: ClassVar[str] = ""
    samples: ClassVar[str | Path] = ""
    submits: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    plugin: ClassVar[object | None] = None
    _subject: ClassVar[Subject | None] = None

    @classmethod
    def subject(cls) -> Subject:
        """The plugin under test; found once for each class."""
        if not cls.provider or not cls.samples:
            broken(
                "a contract names a provider and a folder of samples",
                seen=f"provider={cls.provider!r}, samples={str(cls.samples)!r} in {cls.__name__}",
                why="there is nothing to test",
                do='write provider = "acme" and samples = Path(__file__).parent / "samples" in the class',
            )
        if cls._subject is None or "_subject" not in vars(cls):
            cls._subject = Subject(cls.provider, Path(cls.samples), cls.plugin, cls.submits)
        return cls._subject

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """One test for each sample, where a test asks for one."""
        if "sample" in metafunc.fixturenames and self.provider and self.samples:
            found = self.subject().index.samples
            files = [sample.file for sample in found]
            ids = [each.file if files.count(each.file) == 1 else f"{each.file}-{each.operation}" for each in found]
            metafunc.parametrize("sample", found, ids=ids)

    # -- the plugin and its samples -----------------------------------------------------------------------------------

    def test_the_plugin_is_sound(self) -> None:
        """The plugin is found, validates, and nothing in it is misspelt."""
        package.sound(self.subject())

    def test_the_entry_point_bears_the_name(self) -> None:
        """The entry point, and the distribution, are named for the provider."""
        package.entry_point(self.subject())

    def test_the_plugin_does_nothing_else(self) -> None:
        """No network, clock, chance, environment, print or file, and nothing of vidpoll that is not public."""
        source.clean(self.subject())

    def test_values_are_the_documented_ones(self) -> None:
        """Base URL and floor are those of the index; headers, hosts and the package's types can be used."""
        package.values(self.subject())

    def test_nothing_is_left_to_decide(self) -> None:
        """What the template or its guesses left to the author has been decided."""
        package.decided(self.subject())

    def test_the_samples_are_described(self) -> None:
        """Every body says what it answers, where it comes from and what it means."""
        package.described(self.subject())

    def test_the_samples_show_every_end(self) -> None:
        """There is a sample of a job under way, of a completed one and of a failed one."""
        package.every_end(self.subject())

    # -- what answers mean --------------------------------------------------------------------------------------------

    def test_a_sample_means_what_is_expected(self, sample: Any) -> None:
        """State, stage, progress, assets, and whatever else the index says, exactly."""
        meaning.meaning(self.subject(), sample)

    def test_the_samples_leave_nothing_out(self) -> None:
        """What the parser says of a sample stands in its "expect"."""
        meaning.complete(self.subject())

    def test_every_documented_word_is_known(self) -> None:
        """Each status word of the vendor's page leads to its state."""
        verdicts.words(self.subject())

    def test_an_unknown_word_is_not_guessed(self) -> None:
        """A status word that is not listed raises UnknownStatus."""
        verdicts.unknown_word(self.subject())

    def test_only_the_status_decides(self, sample: Any) -> None:
        """Another value in another field does not change the state, and a boolean is no number."""
        verdicts.scalars(self.subject(), sample)

    def test_a_job_under_way_is_not_ended_by_other_fields(self) -> None:
        """A URL, an error text or a 100 % beside a status word ends nothing, and turns no verdict."""
        verdicts.transplants(self.subject())

    def test_an_answer_that_says_nothing_ends_no_job(self) -> None:
        """An empty body, HTML, null, or an error without the job's status is no verdict."""
        verdicts.nothing(self.subject())

    def test_a_refusal_under_200_is_no_answer(self) -> None:
        """The body of a refusal under HTTP 200 ends no job, makes no job, fills no page and no quota."""
        envelopes.refusals(self.subject())

    def test_what_is_no_json_is_no_answer(self) -> None:
        """A 2xx that is no JSON raises Malformed, unless a sample says that it is an answer."""
        envelopes.no_json(self.subject())

    def test_a_number_as_text_means_the_same(self) -> None:
        """A code "0" is the code 0."""
        envelopes.numbers(self.subject())

    def test_verdicts_have_samples(self) -> None:
        """An HTTP status in `verdicts` has a sample; 401, 403, 404 and 429 never are one."""
        verdicts.statuses(self.subject())
        follows.statuses(self.subject())

    def test_no_answer_holds_a_parser_up(self) -> None:
        """Texts at which regular expressions choke, and very long ones, are read at once."""
        limits.limits(self.subject())

    def test_junk_raises_only_what_is_allowed(self) -> None:
        """Whatever comes, a parser raises AnswerError or Refused, and nothing else."""
        verdicts.junk(self.subject())

    def test_an_answer_about_another_job_is_told_apart(self) -> None:
        """The id that the answer names is reported as it came, and never taken for the one that was asked with."""
        contents.foreign(self.subject())
        contents.nameless(self.subject())

    def test_parsers_are_pure(self) -> None:
        """One answer has one meaning, whatever was parsed before."""
        verdicts.pure(self.subject())

    def test_a_completed_job_has_its_video(self) -> None:
        """A sample shows a completed job with its video, or says that none is due."""
        contents.completed(self.subject())

    def test_a_failed_job_says_why(self) -> None:
        """Failed comes with a problem that a person can read."""
        contents.failed(self.subject())

    def test_a_job_under_way_has_no_video(self) -> None:
        """A file that is there before the end is not whole: no asset of kind video before completed."""
        contents.under_way(self.subject())

    def test_progress_is_a_percentage(self) -> None:
        """Progress is 0 to 100, also where the provider counts from 0 to 1."""
        contents.progress(self.subject())

    def test_times_are_unix_seconds(self) -> None:
        """Times are seconds, also where the provider sends milliseconds; the video's length is seconds too."""
        contents.times(self.subject())

    def test_asset_urls_resolve(self) -> None:
        """Every asset can be fetched: http or https, or a path of the account's own origin."""
        contents.assets(self.subject())

    def test_asset_urls_come_out_as_they_went_in(self) -> None:
        """Signed and relative URLs are passed on as they stand."""
        contents.verbatim(self.subject())

    def test_submit_takes_the_id_first(self) -> None:
        """Whatever else is in a submit answer, its id is found."""
        contents.submit_id(self.subject())

    def test_a_submit_answer_without_an_id_is_no_job(self) -> None:
        """No id, no job: "None" and "True" are no ids."""
        contents.submit_without_id(self.subject())

    def test_list_rows_agree_with_status(self) -> None:
        """A row says of a job what its status answer says; one strange row costs no other."""
        lists.rows(self.subject())

    def test_a_flag_is_true_or_false(self) -> None:
        """In lists and quotas, too, a text in the place of true is not true."""
        lists.flags(self.subject())

    def test_amounts_are_numbers(self) -> None:
        """What a quota tells are numbers, whatever comes."""
        lists.amounts(self.subject())

    def test_errors_are_read(self) -> None:
        """The reader of refusals never raises."""
        contents.errors(self.subject())

    def test_a_code_has_a_class_of_failure(self) -> None:
        """A refusal, or a failed job, with a code says what to do next: wait, top up, change the prompt, try again."""
        classes.classes(self.subject())

    def test_an_empty_answer_is_believed_only_where_it_may_be(self) -> None:
        """A cancel, delete or content whose parser ignores the body declares `empty_ok=True`."""
        empty.believed(self.subject())

    # -- second answers -----------------------------------------------------------------------------------------------

    def test_a_second_answer_is_shown_to_its_parser(self) -> None:
        """A Follow has a sample of its second answer, and lists the HTTP status of it."""
        follows.shown(self.subject())

    def test_a_second_answer_breaks_nothing(self) -> None:
        """Whatever a second answer is: nothing but what is allowed is raised, and what says nothing ends no job."""
        follows.junk(self.subject())
        follows.nothing(self.subject())

    def test_a_second_answer_about_another_job_is_told_apart(self) -> None:
        """Files of an answer that names another job are not taken."""
        follows.foreign(self.subject())

    def test_a_refused_second_answer_changes_nothing(self) -> None:
        """A refusal in the place of a second answer keeps what the first one said."""
        follows.refused(self.subject())

    def test_second_answers_lead_on(self) -> None:
        """No second answer leads to a request that was sent already."""
        follows.circles(self.subject())

    # -- requests -----------------------------------------------------------------------------------------------------

    def test_requests_are_pure(self) -> None:
        """The same call builds the same request, and leaves the fields as they were."""
        requests.pure(self.subject())

    def test_questions_change_nothing(self) -> None:
        """Status, list and quota can be asked again and again."""
        requests.safe(self.subject())

    def test_requests_are_the_documented_ones(self) -> None:
        """Method, path, query and body are those that the samples' "request" and "sends" name, of each operation."""
        pinned.documented(self.subject())
        follows.documented(self.subject())

    def test_prices_are_the_documented_ones(self) -> None:
        """What a price list says of a submit's fields is the "price" of its sample, in the unit of jobs' costs."""
        prices.documented(self.subject())

    def test_values_of_fields_arrive(self) -> None:
        """Each field's value arrives as it was given, 0 and False too; what is None does not arrive."""
        pinned.values(self.subject())

    def test_the_key_travels_as_documented(self) -> None:
        """Each way of the index's "auth" makes its headers, and another key makes other ones."""
        auth.documented(self.subject())

    def test_the_id_reaches_the_request(self) -> None:
        """Whatever an id holds, the request is about this job and nothing else, or the id is refused."""
        ids.ids(self.subject())

    def test_the_key_stays_in_the_headers(self) -> None:
        """The key is in no URL, body or repr, and travels encrypted."""
        auth.hidden(self.subject())

    def test_submits_refuse_what_they_cannot_send(self) -> None:
        """A submit with strange fields raises a UsageError before anything is sent, or sends them."""
        requests.submits(self.subject())
        requests.unknown_fields(self.subject())

    def test_the_next_page_is_another_request(self) -> None:
        """The token of a page leads on, other parameters stay, and the list ends."""
        lists.walk(self.subject())

    # -- the whole ----------------------------------------------------------------------------------------------------

    def test_a_simulated_job_from_submit_to_file(self) -> None:
        """With a face for the simulator: submit, wait, download; and a job that fails."""
        package.simulated(self.subject())
