"""The contract of a provider plugin as tests to inherit: `ProviderContract`. Nothing but pytest is needed.

    from pathlib import Path
    from vidpoll.testing import ProviderContract

    class TestContract(ProviderContract):
        provider = "acme"
        samples = Path(__file__).parent / "samples"
        submits = {"video": {"prompt": "a lighthouse at dusk"}}

This module only lists the tests; the docstring of each test is its rule. The other modules: `samples` and `checks`
(the folder and its index), `mutations` (bodies that are almost right), `subject` (the plugin under test), `finding`
(why no plugin was found). The rules about responses are in `meaning`, `verdicts`, `envelopes`, `contents`, `classes`,
`lists`, `follows`, `empty` and `limits`; those about requests in `requests`, `pinned`, `prices`, `ids` and `auth`;
those about the whole plugin in `source` and `package`.
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

    `provider` is the provider's name. `samples` is a folder with response bodies and their `index.json`. `submits`
    maps each submit operation to fields that it accepts; the "fields" of a sample serve the same purpose. `plugin` is
    the module or object with the hooks, for a plugin that is not installed; without it, the installed plugins are
    searched for the provider.
    """

    provider: ClassVar[str] = ""
    samples: ClassVar[str | Path] = ""
    submits: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    plugin: ClassVar[object | None] = None
    _subject: ClassVar[Subject | None] = None

    @classmethod
    def subject(cls) -> Subject:
        """The plugin under test; loaded once for each class."""
        if not cls.provider or not cls.samples:
            broken(
                "a contract class must name a provider and a folder of samples",
                seen=f"provider={cls.provider!r}, samples={str(cls.samples)!r} in {cls.__name__}",
                why="there is nothing to test",
                do='write provider = "acme" and samples = Path(__file__).parent / "samples" in the class',
            )
        if cls._subject is None or "_subject" not in vars(cls):
            cls._subject = Subject(cls.provider, Path(cls.samples), cls.plugin, cls.submits)
        return cls._subject

    def pytest_generate_tests(self, metafunc: Any) -> None:
        """Run a test that has the parameter `sample` once for each sample."""
        if "sample" in metafunc.fixturenames and self.provider and self.samples:
            found = self.subject().index.samples
            files = [sample.file for sample in found]
            ids = [each.file if files.count(each.file) == 1 else f"{each.file}-{each.operation}" for each in found]
            metafunc.parametrize("sample", found, ids=ids)

    # -- the plugin and its samples -----------------------------------------------------------------------------------

    def test_the_plugin_is_sound(self) -> None:
        """The plugin is found and valid, and no hook is misspelt."""
        package.sound(self.subject())

    def test_the_entry_point_bears_the_name(self) -> None:
        """The entry point has the provider's name."""
        package.entry_point(self.subject())

    def test_the_plugin_does_nothing_else(self) -> None:
        """No network, clock, random, environment, print or file, and only public names of vidpoll."""
        source.clean(self.subject())

    def test_values_are_the_documented_ones(self) -> None:
        """Base URL and floor equal those of the index; headers, hosts and the package's types are valid."""
        package.values(self.subject())

    def test_nothing_is_left_to_decide(self) -> None:
        """No DECIDE mark of the template is left in the plugin."""
        package.decided(self.subject())

    def test_the_samples_are_described(self) -> None:
        """index.json says of every body which operation it answers, where it comes from and what it means."""
        package.described(self.subject())

    def test_the_samples_show_every_end(self) -> None:
        """There is a sample of a job under way, of a completed one and of a failed one."""
        package.every_end(self.subject())

    # -- what responses mean ------------------------------------------------------------------------------------------

    def test_a_sample_means_what_is_expected(self, sample: Any) -> None:
        """State, stage, progress, assets and every other expected value are exactly those of the index."""
        meaning.meaning(self.subject(), sample)

    def test_the_samples_leave_nothing_out(self) -> None:
        """The "expect" of a sample holds everything that the parser returns."""
        meaning.complete(self.subject())

    def test_every_documented_word_is_known(self) -> None:
        """Each status word of the vendor's page gives its state."""
        verdicts.words(self.subject())

    def test_an_unknown_word_is_not_guessed(self) -> None:
        """A status word that is not listed raises UnknownStatus."""
        verdicts.unknown_word(self.subject())

    def test_only_the_status_decides(self, sample: Any) -> None:
        """A changed value in any other field does not change the state, and a boolean is not a number."""
        verdicts.scalars(self.subject(), sample)

    def test_a_job_under_way_is_not_ended_by_other_fields(self) -> None:
        """A URL, an error text or 100 % next to a status word ends no job and changes no verdict."""
        verdicts.transplants(self.subject())

    def test_an_answer_that_says_nothing_ends_no_job(self) -> None:
        """An empty body, HTML, null, or an error without the job's status is not a verdict."""
        verdicts.nothing(self.subject())

    def test_a_refusal_under_200_is_no_answer(self) -> None:
        """A refusal sent with HTTP 200 ends no job, and is not read as a job, a page or a quota."""
        envelopes.refusals(self.subject())

    def test_what_is_no_json_is_no_answer(self) -> None:
        """A 2xx that is not JSON raises Malformed, unless a sample shows that it is a valid response."""
        envelopes.no_json(self.subject())

    def test_a_number_as_text_means_the_same(self) -> None:
        """The code "0" means the same as the code 0."""
        envelopes.numbers(self.subject())

    def test_verdicts_have_samples(self) -> None:
        """Each HTTP status in `verdicts` has a sample; 401, 403, 404 and 429 are never verdicts."""
        verdicts.statuses(self.subject())
        follows.statuses(self.subject())

    def test_no_answer_holds_a_parser_up(self) -> None:
        """Very long texts, and texts that make regular expressions backtrack, are parsed at once."""
        limits.limits(self.subject())

    def test_junk_raises_only_what_is_allowed(self) -> None:
        """Whatever the body is, a parser raises AnswerError or Refused, and nothing else."""
        verdicts.junk(self.subject())

    def test_an_answer_about_another_job_is_told_apart(self) -> None:
        """The snapshot has the id that the response names, never a copy of the id that was polled."""
        contents.foreign(self.subject())
        contents.nameless(self.subject())

    def test_parsers_are_pure(self) -> None:
        """The same response gives the same result, whatever was parsed before."""
        verdicts.pure(self.subject())

    def test_a_completed_job_has_its_video(self) -> None:
        """A sample shows a completed job with its video, or with assets_due=False."""
        contents.completed(self.subject())

    def test_a_failed_job_says_why(self) -> None:
        """A failed job has a problem that a person can read."""
        contents.failed(self.subject())

    def test_a_job_under_way_has_no_video(self) -> None:
        """No asset of kind video before the job is completed: an earlier file may be incomplete."""
        contents.under_way(self.subject())

    def test_progress_is_a_percentage(self) -> None:
        """Progress is 0 to 100, even if the provider counts from 0 to 1."""
        contents.progress(self.subject())

    def test_times_are_unix_seconds(self) -> None:
        """Times are Unix seconds, even if the provider sends milliseconds; the video's duration is in seconds."""
        contents.times(self.subject())

    def test_asset_urls_resolve(self) -> None:
        """Every asset can be downloaded: an http or https URL, or a path of the account's own origin."""
        contents.assets(self.subject())

    def test_asset_urls_come_out_as_they_went_in(self) -> None:
        """Signed and relative URLs are passed on unchanged."""
        contents.verbatim(self.subject())

    def test_submit_takes_the_id_first(self) -> None:
        """Whatever else a submit response contains, its id is found."""
        contents.submit_id(self.subject())

    def test_a_submit_answer_without_an_id_is_no_job(self) -> None:
        """A submit response without an id gives no job: "None" and "True" are not ids."""
        contents.submit_without_id(self.subject())

    def test_list_rows_agree_with_status(self) -> None:
        """A row agrees with the job's status response; one unreadable row does not hide the others."""
        lists.rows(self.subject())

    def test_a_flag_is_true_or_false(self) -> None:
        """In lists and quotas, a text in place of true does not count as true."""
        lists.flags(self.subject())

    def test_amounts_are_numbers(self) -> None:
        """The amounts of a quota are numbers, whatever the body is."""
        lists.amounts(self.subject())

    def test_errors_are_read(self) -> None:
        """`Provider(error=…)` returns a Problem and never raises."""
        contents.errors(self.subject())

    def test_a_code_has_a_class_of_failure(self) -> None:
        """A refusal or a failed job that has a code also has a category: it says what to do next."""
        classes.classes(self.subject())

    def test_an_empty_answer_is_believed_only_where_it_may_be(self) -> None:
        """A cancel, delete or content whose parser ignores the body declares `empty_ok=True`."""
        empty.believed(self.subject())

    # -- second responses ---------------------------------------------------------------------------------------------

    def test_a_second_answer_is_shown_to_its_parser(self) -> None:
        """A Follow has a sample of its second response, and its `verdicts` include that HTTP status."""
        follows.shown(self.subject())

    def test_a_second_answer_breaks_nothing(self) -> None:
        """Whatever the second response is, only AnswerError or Refused is raised, and an empty one ends no job."""
        follows.junk(self.subject())
        follows.nothing(self.subject())

    def test_a_second_answer_about_another_job_is_told_apart(self) -> None:
        """Files of a second response that names another job are ignored."""
        follows.foreign(self.subject())

    def test_a_refused_second_answer_changes_nothing(self) -> None:
        """If the second request is refused, the result of the first response stays."""
        follows.refused(self.subject())

    def test_second_answers_lead_on(self) -> None:
        """No second response leads to a request that was already sent."""
        follows.circles(self.subject())

    # -- requests -----------------------------------------------------------------------------------------------------

    def test_requests_are_pure(self) -> None:
        """The same call builds the same request, and does not change the fields."""
        requests.pure(self.subject())

    def test_questions_change_nothing(self) -> None:
        """Status, list and quota requests change nothing, so they can be repeated."""
        requests.safe(self.subject())

    def test_requests_are_the_documented_ones(self) -> None:
        """For each operation, method, path, query and body equal "request" and "sends" of its samples."""
        pinned.documented(self.subject())
        follows.documented(self.subject())

    def test_prices_are_the_documented_ones(self) -> None:
        """The price list gives the "price" of each submit sample, in the unit of the jobs' costs."""
        prices.documented(self.subject())

    def test_values_of_fields_arrive(self) -> None:
        """Each field's value is sent as it was given, including 0 and False; a field that is None is not sent."""
        pinned.values(self.subject())

    def test_the_key_travels_as_documented(self) -> None:
        """Each line of the index's "auth" gives its headers, and another key gives other headers."""
        auth.documented(self.subject())

    def test_the_id_reaches_the_request(self) -> None:
        """Whatever an id contains, the request is about this job only, or the builder refuses the id."""
        ids.ids(self.subject())

    def test_the_key_stays_in_the_headers(self) -> None:
        """The key is in no URL, body or repr, and is sent encrypted."""
        auth.hidden(self.subject())

    def test_submits_refuse_what_they_cannot_send(self) -> None:
        """A submit with unknown or wrong fields raises a UsageError before anything is sent, or sends them."""
        requests.submits(self.subject())
        requests.unknown_fields(self.subject())

    def test_the_next_page_is_another_request(self) -> None:
        """The token of a page gives the next page, other parameters stay, and the list ends."""
        lists.walk(self.subject())

    # -- the whole ----------------------------------------------------------------------------------------------------

    def test_a_simulated_job_from_submit_to_file(self) -> None:
        """In the simulator: submit, wait, download; then a job that fails."""
        package.simulated(self.subject())
